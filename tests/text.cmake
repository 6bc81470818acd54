vulcat_test(NAME text_test SOURCES text_utf8_test.cpp text_tokenizer_test.cpp text_fixtures_test.cpp
                                   text_hostile_test.cpp
            LIBS vulcat_text nlohmann_json::nlohmann_json)
