# Kernels on floats.
vulcat_test(NAME rope_table_test SOURCES rope_table_test.cpp LIBS vulcat_kernels)
vulcat_test(NAME float_rows_test SOURCES float_rows_test.cpp LIBS vulcat_kernels vulcat_test_gpu GPU)
vulcat_test(NAME transform_kernels_test SOURCES transform_kernels_test.cpp LIBS vulcat_kernels vulcat_test_gpu GPU)
vulcat_test(NAME attention_test SOURCES attention_test.cpp LIBS vulcat_kernels vulcat_test_gpu GPU)
vulcat_test(NAME float_linear_test SOURCES float_linear_test.cpp LIBS vulcat_kernels vulcat_test_gpu GPU)
vulcat_test(NAME site_codes_test SOURCES site_codes_test.cpp LIBS vulcat_kernels vulcat_format vulcat_test_gpu GPU)
