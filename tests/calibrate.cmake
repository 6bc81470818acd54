# Tests of the floor calibrate. CPU only; the real model and texts come from the shared data folder.
if(TARGET vulcat_calibrate)
  vulcat_test(NAME calibrate_decoder_test SOURCES calibrate_decoder_test.cpp LIBS vulcat_calibrate)
  vulcat_test(NAME calibrate_theory_test SOURCES calibrate_theory_test.cpp LIBS vulcat_calibrate)
  vulcat_test(NAME calibrate_bake_test SOURCES calibrate_bake_test.cpp model_folder.cpp LIBS vulcat_calibrate)
  vulcat_test(NAME calibrate_stories_test SOURCES calibrate_stories_test.cpp LIBS vulcat_calibrate)
endif()
