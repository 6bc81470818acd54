# Rounding beyond nearest, its entropy coder, and permutations. Sizes are small; speed is for benches.
vulcat_test(NAME round_test
  SOURCES round_support.cpp round_linear_algebra_test.cpp round_gptq_test.cpp round_watersic_test.cpp
          round_limits_test.cpp round_rans_test.cpp round_permutation_test.cpp round_wide_test.cpp
  LIBS vulcat_calibrate DENSE)
