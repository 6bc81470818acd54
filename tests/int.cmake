vulcat_test(NAME linear_weights_test SOURCES linear_weights_test.cpp LIBS vulcat_kernels vulcat_format)
vulcat_test(NAME quantise_rows_test SOURCES quantise_rows_test.cpp LIBS vulcat_test_gpu vulcat_kernels vulcat_format GPU)
vulcat_test(NAME integer_linear_test SOURCES integer_linear_test.cpp integer_linear_limits_test.cpp support/integer_case.cpp
            LIBS vulcat_test_gpu vulcat_kernels vulcat_format GPU)
