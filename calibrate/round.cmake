# Rounding methods beyond nearest, what they need to know of inputs, and permutations.
set(VULCAT_CALIBRATE_ROUND_SOURCES bit_plan.cpp cancellation.cpp channel_order.cpp coded_site.cpp descent.cpp gptq.cpp gram.cpp hidden_order.cpp
    linear_algebra.cpp observe.cpp permutation.cpp rate_limit.cpp rescalers.cpp residual_order.cpp site_rounding.cpp site_steps.cpp site_work.cpp stream.cpp watersic.cpp
    watersic_descent.cpp watersic_pass.cpp)
