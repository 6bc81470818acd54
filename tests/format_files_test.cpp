#include "format/atomic_file.h"

#include "base/error.h"
#include "format/mapped_file.h"
#include "support/temp_folder.h"

#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <string>

#include <sys/resource.h>

using namespace vulcat;
using namespace vulcat::format;
namespace fs = std::filesystem;

TEST_CASE("a file appears whole or not at all") {
    const test::TempFolder folder;
    const fs::path path = folder / "config.json";
    writeTextFile(path, "one");
    CHECK(test::readFile(path) == "one");
    {
        AtomicFile file(path);
        file.append("two");
    }
    CHECK(test::readFile(path) == "one");
    CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
    writeTextFile(path, "three");
    CHECK(test::readFile(path) == "three");
    copyFile(path, folder / "copy.json");
    CHECK(test::readFile(folder / "copy.json") == "three");
    CHECK_THROWS_AS(copyFile(folder / "absent", folder / "x"), Error);
    CHECK_THROWS_AS(writeTextFile(folder / "no such folder/x", "y"), Error);
}

// A limit on file sizes stands for a full disk: both make a write fail in the middle.
TEST_CASE("a write that fails in the middle says so and leaves the old file") {
    const test::TempFolder folder;
    const fs::path path = folder / "big";
    writeTextFile(path, "old");
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit small = before;
    small.rlim_cur = 4096;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    std::string message;
    try {
        writeTextFile(path, std::string(100'000, 'x'));
    } catch (const Error& error) {
        message = error.what();
    }
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    CHECK(message.find("cannot write") != std::string::npos);
    CHECK(message.find("nothing was replaced") != std::string::npos);
    CHECK(test::readFile(path) == "old");
    CHECK_FALSE(fs::exists(folder / "big.partial"));
}

TEST_CASE("a full disk is named in plain words") {
    if (!fs::exists("/dev/full")) return;
    const test::TempFolder folder;
    fs::create_symlink("/dev/full", folder / "out.partial");
    try {
        writeTextFile(folder / "out", "x");
        FAIL("wrote to a full disk");
    } catch (const Error& error) {
        CHECK(std::string(error.what()).find("the disk is full") != std::string::npos);
    }
    CHECK_FALSE(fs::exists(folder / "out"));
}

TEST_CASE("a finished folder takes the place of an old one") {
    const test::TempFolder folder;
    const auto build = [&](const char* text) {
        fs::create_directories(folder / "out.partial/inner");
        writeTextFile(folder / "out.partial/inner/file", text);
        return folder / "out.partial";
    };
    replaceFolder(build("one"), folder / "out");
    CHECK(test::readFile(folder / "out/inner/file") == "one");
    replaceFolder(build("two"), fs::path((folder / "out").string() + "/"));
    CHECK(test::readFile(folder / "out/inner/file") == "two");
    CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
    CHECK_THROWS_AS(replaceFolder(folder / "absent", folder / "out"), Error);
    CHECK(test::readFile(folder / "out/inner/file") == "two");
}

TEST_CASE("reading text is bounded") {
    const test::TempFolder folder;
    test::writeFile(folder / "a", "12345");
    CHECK(readTextFile(folder / "a", 5) == "12345");
    CHECK_THROWS_AS(readTextFile(folder / "a", 4), Error);
    test::writeFile(folder / "empty", "");
    CHECK(readTextFile(folder / "empty", 0).empty());
}
