# layers, model, api
if(NOT TARGET vulcat_model OR NOT TARGET vulcat_test_gpu)
  return()
endif()

vulcat_test(NAME model_sampling_test SOURCES model_sampling_test.cpp LIBS vulcat_model)
vulcat_test(NAME model_stories_test SOURCES model_stories_test.cpp LIBS vulcat_model vulcat_test_gpu GPU)
vulcat_test(NAME model_errors_test SOURCES model_errors_test.cpp model_folder.cpp LIBS vulcat_model vulcat_test_gpu GPU)
add_executable(random_baked EXCLUDE_FROM_ALL random_baked.cpp model_folder.cpp)
target_link_libraries(random_baked PRIVATE vulcat_format vulcat_test_support vulcat_flags)
if(TARGET vulcat_calibrate)
  vulcat_test(NAME model_oracle_test SOURCES model_oracle_test.cpp model_folder.cpp
    LIBS vulcat_model vulcat_calibrate vulcat_test_gpu GPU)
endif()

# The C header is C99 to the letter, for a program that knows nothing else of vulcat.
enable_language(C)
add_library(vulcat_api_c99 STATIC api_c99.c)
target_link_libraries(vulcat_api_c99 PRIVATE vulcat_api vulcat_flags)
set_source_files_properties(api_c99.c PROPERTIES COMPILE_OPTIONS "-std=c99;-pedantic;-Werror")
vulcat_test(NAME api_test SOURCES api_test.cpp api_readme_example.cpp LIBS vulcat_api vulcat_api_c99 ${CMAKE_DL_LIBS} GPU)
set_source_files_properties(api_readme_example.cpp PROPERTIES COMPILE_OPTIONS "-std=c++17;-pedantic;-Werror"
  SKIP_PRECOMPILE_HEADERS ON SKIP_UNITY_BUILD_INCLUSION ON)
vulcat_test(NAME api_host_test SOURCES api_host_test.cpp LIBS vulcat_api vulcat_format vulcat_test_gpu GPU)
vulcat_test(NAME api_step_test SOURCES api_step_test.cpp model_folder.cpp LIBS vulcat_api vulcat_format GPU)
vulcat_test(NAME api_blobs_test SOURCES api_blobs_test.cpp model_folder.cpp LIBS vulcat_api vulcat_model GPU)
vulcat_test(NAME api_slices_test SOURCES api_slices_test.cpp LIBS vulcat_api GPU)

# All software drivers in one process: contexts choose among them.
vulcat_test(NAME api_contexts_test SOURCES api_contexts_test.cpp LIBS vulcat_api ${CMAKE_DL_LIBS})
set(icds "")
foreach(pair ${VULCAT_DRIVER_LIST})
  string(REGEX REPLACE "^[^=]*=" "" icd "${pair}")
  list(APPEND icds "${icd}")
endforeach()
list(JOIN icds ":" icds)
set_tests_properties(api_contexts_test PROPERTIES ENVIRONMENT "VK_ICD_FILENAMES=${icds};VK_DRIVER_FILES=${icds}" LABELS "gpu")
