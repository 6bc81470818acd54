// random_baked FOLDER TOKENIZER_FOLDER TRANSFORM ACTIVATIONS [hidden intermediate layers heads kvHeads headDim vocabulary]:
// writes a model as calibration leaves it, of random 4-bit weights, for measuring speed: by default in the shapes of a
// 1.1 B Llama. TRANSFORM is none or cat (blocks of 64 and a mix of the rest of the width), ACTIVATIONS 4, 8 or 16. The
// output layer has 4 bits too (as `vulcat calibrate --head-bits 4` leaves it), but 16 where HEAD_BITS=16 is in the environment.

#include "model_folder.h"

#include "format/atomic_file.h"

#include "base/error.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

int main(int count, char** arguments) {
    namespace fs = std::filesystem;
    using namespace vulcat;
    if (count < 5) {
        std::fprintf(stderr, "random_baked FOLDER TOKENIZER_FOLDER none|cat 4|8|16 [hidden intermediate layers heads kvHeads "
                             "headDim vocabulary]\n");
        return 2;
    }
    try {
        test::ModelRecipe recipe;
        recipe.hidden = 2048;
        recipe.intermediate = 5632;
        recipe.layers = 22;
        recipe.heads = 32;
        recipe.kvHeads = 4;
        recipe.headDim = 64;
        recipe.vocabulary = 32000;
        recipe.positions = 2048;
        recipe.tied = false;
        recipe.dtype = format::DType::F16;
        recipe.weightBits = 4;
        recipe.activationBits = std::atoi(arguments[4]);
        recipe.repeat = true;
        const char* head = std::getenv("HEAD_BITS");
        recipe.quantisedHead = head == nullptr || std::string_view(head) != "16";
        if (std::string_view(arguments[3]) == "cat") recipe.transform = test::RandomTransform::Blocks;
        recipe.block = 64;
        int* const fields[] = {&recipe.hidden,  &recipe.intermediate, &recipe.layers,    &recipe.heads,
                               &recipe.kvHeads, &recipe.headDim,      &recipe.vocabulary};
        for (int i = 5; i < count && i < 12; ++i) *fields[i - 5] = std::atoi(arguments[i]);
        const fs::path folder = arguments[1], tokenizer = arguments[2];
        fs::create_directories(folder);
        for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
            if (fs::exists(tokenizer / name)) format::copyFile(tokenizer / name, folder / name);
        test::writeModelFolder(folder, recipe);
    } catch (const Error& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    return 0;
}
