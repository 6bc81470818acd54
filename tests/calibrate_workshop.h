#pragma once
// What tests of calibration share: a small random model to calibrate, folders as bytes, work in a child that may die.

#include "calibrate/options.h"

#include "base/error.h"

#include "model_folder.h"
#include "support/rng.h"
#include "support/temp_folder.h"
#include "support/tokenizer_json.h"

#include <functional>
#include <map>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

namespace vulcat::test {

/// A float model folder with tokenizer and a text, and options that calibrate it in well under a second.
struct Workshop {
    TempFolder temp;
    calibrate::CalibrateOptions options;

    explicit Workshop(ModelRecipe recipe = {}) {
        recipe.vocabulary = 261;
        recipe.layers = 3;
        std::filesystem::create_directory(temp / "model");
        writeModelFolder(temp / "model", recipe);
        writeFile(temp / "model" / "tokenizer.json", byteLevelJson().dump());
        Rng rng(11);
        std::string text;
        for (int piece = 0; piece < 9; ++piece) {
            for (int64_t i = rng.integer(20, 90); i > 0; --i) text += static_cast<char>(rng.integer('a', 'z'));
            text += "\n--\n";
        }
        writeFile(temp / "text.txt", text);
        options.modelDir = temp / "model";
        options.outDir = temp / "out";
        options.texts.files = {temp / "text.txt"};
        options.texts.separator = "--";
        options.texts.seqLen = 64;
        options.block = 32;
        options.threads = 2;
    }
    std::filesystem::path out(const char* name) {
        options.outDir = temp / name;
        return options.outDir;
    }
};

using FolderBytes = std::map<std::string, std::string>;

inline FolderBytes bytesOf(const std::filesystem::path& folder) {
    FolderBytes files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        if (entry.is_regular_file())
            files[std::filesystem::relative(entry.path(), folder).string()] = readFile(entry.path());
    return files;
}

/// Runs `work` in a child process; its exit status, or minus the signal that ended it.
inline int inChild(const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
        try {
            work();
        } catch (const Error& error) {
            ::_exit(error.code() == Result::Failure ? 41 : 42);
        } catch (...) {
            ::_exit(43);
        }
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace vulcat::test
