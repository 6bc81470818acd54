# Kernels on the device against their CPU twins, and what of them needs no device.
vulcat_test(NAME kernels_host_test SOURCES linear_weights_test.cpp rope_table_test.cpp tuning_test.cpp LIBS vulcat_kernels vulcat_format)
vulcat_test(NAME kernels_test
  SOURCES quantise_rows_test.cpp integer_linear_test.cpp integer_linear_limits_test.cpp tuner_test.cpp support/integer_case.cpp
          float_rows_test.cpp transform_kernels_test.cpp site_mix_test.cpp attention_test.cpp float_linear_test.cpp site_codes_test.cpp top_logits_test.cpp
  LIBS vulcat_kernels vulcat_format vulcat_test_gpu GPU)

# What RADV makes of the kernels for GPUs that need not be here.
add_executable(amd_isa amd_isa.cpp)
target_link_libraries(amd_isa PRIVATE vulcat_kernels vulcat_flags)
add_test(NAME amd_isa_test COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/amd_isa.sh" "${PROJECT_BINARY_DIR}")
set_tests_properties(amd_isa_test PROPERTIES SKIP_RETURN_CODE 77)
