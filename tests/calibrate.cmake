# Tests of the floor calibrate. CPU only; the real model and texts come from the shared data folder.
if(TARGET vulcat_calibrate)
  vulcat_test(NAME calibrate_decoder_test SOURCES calibrate_decoder_test.cpp LIBS vulcat_calibrate)
  vulcat_test(NAME calibrate_theory_test SOURCES calibrate_theory_test.cpp LIBS vulcat_calibrate)
  vulcat_test(NAME calibrate_html_test SOURCES calibrate_html_test.cpp LIBS vulcat_calibrate)
  vulcat_test(NAME calibrate_proof_test SOURCES calibrate_proof_test.cpp LIBS vulcat_calibrate)
  vulcat_test(NAME calibrate_statistics_test SOURCES calibrate_statistics_test.cpp model_folder.cpp LIBS vulcat_calibrate)
  vulcat_test(NAME calibrate_bake_test SOURCES calibrate_bake_test.cpp model_folder.cpp LIBS vulcat_calibrate)
  vulcat_test(NAME calibrate_rounding_test SOURCES calibrate_rounding_test.cpp model_folder.cpp LIBS vulcat_calibrate)
  vulcat_test(NAME calibrate_stories_test SOURCES calibrate_stories_test.cpp LIBS vulcat_calibrate)
endif()
# Processes that share the work: skipped, and said so, where mpirun is not installed.
if(TARGET vulcat_program AND TARGET vulcat_calibrate)
  add_executable(compare_statistics compare_statistics.cpp)
  target_link_libraries(compare_statistics PRIVATE vulcat_calibrate vulcat_flags)
  add_test(NAME mpi_test COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/mpi_test.sh" "$<TARGET_FILE:vulcat_program>"
    "${PROJECT_SOURCE_DIR}/samples/story_model" "$<TARGET_FILE:compare_statistics>")
  set_tests_properties(mpi_test PROPERTIES SKIP_RETURN_CODE 77)
endif()
# Writes large random models for tests/large_model.sh; built on demand.
if(TARGET vulcat_format)
  add_executable(random_llama EXCLUDE_FROM_ALL random_llama.cpp)
  target_link_libraries(random_llama PRIVATE vulcat_format vulcat_test_support vulcat_flags)
endif()
