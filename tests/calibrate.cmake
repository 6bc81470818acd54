# Tests of the floor calibrate. CPU only; the real model and texts come from the shared data folder.
if(TARGET vulcat_calibrate)
  # Plain loops are fast enough where the compiler may vectorise them.
  add_library(vulcat_test_dense STATIC support/dense.cpp model_folder.cpp)
  target_link_libraries(vulcat_test_dense PUBLIC vulcat_test_support vulcat_calibrate PRIVATE vulcat_flags)
  target_compile_options(vulcat_test_dense PRIVATE ${VULCAT_TEST_OPTIONS})
  set_source_files_properties(support/dense.cpp PROPERTIES COMPILE_OPTIONS "-O2;-ftree-vectorize" SKIP_PRECOMPILE_HEADERS ON)
  if(VULCAT_UNITY)
    target_precompile_headers(vulcat_test_dense REUSE_FROM vulcat_test_support)
  else()
    target_precompile_headers(vulcat_test_dense PRIVATE ${VULCAT_TEST_HEADERS} <Eigen/Core> <nlohmann/json.hpp>)
  endif()
  vulcat_test(NAME calibrate_test
    SOURCES calibrate_decoder_test.cpp calibrate_theory_test.cpp calibrate_html_test.cpp calibrate_proof_test.cpp
            calibrate_statistics_test.cpp calibrate_bake_test.cpp calibrate_estimate_test.cpp calibrate_rounding_test.cpp
            residual_order_test.cpp
    LIBS vulcat_calibrate DENSE)
  vulcat_test(NAME calibrate_stories_test SOURCES calibrate_stories_test.cpp LIBS vulcat_calibrate DENSE)
endif()
# Processes that share the work: skipped, and said so, where mpirun is not installed.
if(TARGET vulcat_program AND TARGET vulcat_calibrate)
  add_executable(compare_statistics compare_statistics.cpp)
  target_link_libraries(compare_statistics PRIVATE vulcat_calibrate vulcat_flags)
  add_test(NAME mpi_test COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/mpi_test.sh" "$<TARGET_FILE:vulcat_program>"
    "${PROJECT_SOURCE_DIR}/samples/story_model" "$<TARGET_FILE:compare_statistics>")
  set_tests_properties(mpi_test PROPERTIES SKIP_RETURN_CODE 77)
  if(VULCAT_SANITIZE)  # Open MPI frees little of what it holds at the end
    set_tests_properties(mpi_test PROPERTIES ENVIRONMENT "ASAN_OPTIONS=detect_leaks=0")
  endif()
endif()
# Writes large random models for tests/large_model.sh; built on demand.
if(TARGET vulcat_format)
  add_executable(random_llama EXCLUDE_FROM_ALL random_llama.cpp)
  target_link_libraries(random_llama PRIVATE vulcat_format vulcat_test_support vulcat_flags)
endif()
