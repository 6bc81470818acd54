# Rounding methods beyond nearest, their entropy coder, and permutations.
set(VULCAT_CALIBRATE_ROUND_SOURCES linear_algebra.cpp cancellation.cpp gptq.cpp rescalers.cpp watersic.cpp
    watersic_pass.cpp rans.cpp permutation.cpp)
