# The program as its users meet it, on each driver.
if(NOT TARGET vulcat_program)
  return()
endif()
foreach(pair ${VULCAT_DRIVER_LIST})
  string(REPLACE "=" ";" parts "${pair}")
  list(GET parts 0 driver)
  list(GET parts 1 icd)
  add_test(NAME cli_test.${driver}
    COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/cli_test.sh" "$<TARGET_FILE:vulcat_program>" "${PROJECT_SOURCE_DIR}/samples/story_model")
  set_tests_properties(cli_test.${driver} PROPERTIES ENVIRONMENT "VK_ICD_FILENAMES=${icd};VK_DRIVER_FILES=${icd}" LABELS "gpu;${driver}")
  if(VULCAT_SANITIZE)
    # What a driver keeps in its globals counts as leaked once the program has unloaded it; the other tests, which keep
    # drivers loaded, look for leaks.
    set_property(TEST cli_test.${driver} APPEND PROPERTY ENVIRONMENT "ASAN_OPTIONS=detect_leaks=0")
  endif()
endforeach()
