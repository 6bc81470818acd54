// random_llama FOLDER TOKENIZER_FOLDER [hidden intermediate layers heads kvHeads headDim vocabulary]: writes a model of
// random BF16 weights in the shapes of Llama-3.2-1B (the default), for measuring time and memory. Widths of channels
// are uneven, so that there is something to align. Memory: one tensor.

#include "format/atomic_file.h"
#include "format/safetensors.h"

#include "base/error.h"
#include "support/rng.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

namespace {

using namespace vulcat;

struct Shape {
    int hidden = 2048, intermediate = 8192, layers = 16, heads = 32, kvHeads = 8, headDim = 64, vocabulary = 128256;
};

uint16_t bfloat16(double value) {
    const auto single = static_cast<float>(value);
    uint32_t bits = 0;
    std::memcpy(&bits, &single, sizeof bits);
    return static_cast<uint16_t>(bits >> 16);
}

void eachTensor(const Shape& s, const std::function<void(const std::string&, uint64_t rows, uint64_t columns)>& visit) {
    const auto size = [](int n) { return static_cast<uint64_t>(n); };
    const uint64_t d = size(s.hidden), f = size(s.intermediate), q = size(s.heads * s.headDim),
                   k = size(s.kvHeads * s.headDim);
    visit("model.embed_tokens.weight", size(s.vocabulary), d);
    visit("model.norm.weight", 0, d);
    for (int l = 0; l < s.layers; ++l) {
        const std::string layer = "model.layers." + std::to_string(l) + ".";
        visit(layer + "input_layernorm.weight", 0, d);
        visit(layer + "post_attention_layernorm.weight", 0, d);
        visit(layer + "self_attn.q_proj.weight", q, d);
        visit(layer + "self_attn.k_proj.weight", k, d);
        visit(layer + "self_attn.v_proj.weight", k, d);
        visit(layer + "self_attn.o_proj.weight", d, q);
        visit(layer + "mlp.gate_proj.weight", f, d);
        visit(layer + "mlp.up_proj.weight", f, d);
        visit(layer + "mlp.down_proj.weight", d, f);
    }
}

void writeWeights(const std::filesystem::path& file, const Shape& shape) {
    std::vector<format::TensorSpec> specs;
    eachTensor(shape, [&](const std::string& name, uint64_t rows, uint64_t columns) {
        specs.push_back(
            {name, format::DType::BF16, rows == 0 ? std::vector<uint64_t>{columns} : std::vector{rows, columns}});
    });
    format::SafetensorsWriter writer(file, specs, {{"format", "pt"}});
    test::Rng rng(7);
    eachTensor(shape, [&](const std::string& name, uint64_t rows, uint64_t columns) {
        std::vector<uint16_t> values(std::max<uint64_t>(rows, 1) * columns);
        std::vector<double> widths(columns);
        for (double& width : widths) width = std::exp(0.5 * rng.gaussian()) / std::sqrt(static_cast<double>(columns));
        // Sums of three uniform numbers are bell-shaped enough, and there are a billion of them.
        for (size_t i = 0; i < values.size(); ++i)
            values[i] = rows == 0
                            ? bfloat16(1.0)
                            : bfloat16(2 * widths[i % columns] * (rng.uniform() + rng.uniform() + rng.uniform() - 1.5));
        writer.write(name, std::span<const uint16_t>(values));
    });
    writer.finish();
}

void writeConfig(const std::filesystem::path& file, const Shape& s) {
    char text[1024];
    std::snprintf(text, sizeof text,
                  "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": %d,\n"
                  " \"intermediate_size\": %d, \"num_hidden_layers\": %d, \"num_attention_heads\": %d,\n"
                  " \"num_key_value_heads\": %d, \"head_dim\": %d, \"vocab_size\": %d, \"rms_norm_eps\": 1e-05,\n"
                  " \"rope_theta\": 500000.0, \"max_position_embeddings\": 2048, \"tie_word_embeddings\": true,\n"
                  " \"hidden_act\": \"silu\", \"bos_token_id\": 1, \"eos_token_id\": 2}\n",
                  s.hidden, s.intermediate, s.layers, s.heads, s.kvHeads, s.headDim, s.vocabulary);
    format::writeTextFile(file, text);
}

}  // namespace

int main(int count, char** arguments) {
    namespace fs = std::filesystem;
    if (count < 3) {
        std::fprintf(
            stderr,
            "random_llama FOLDER TOKENIZER_FOLDER [hidden intermediate layers heads kvHeads headDim vocabulary]\n");
        return 2;
    }
    try {
        Shape shape;
        int* const fields[] = {&shape.hidden,  &shape.intermediate, &shape.layers,    &shape.heads,
                               &shape.kvHeads, &shape.headDim,      &shape.vocabulary};
        for (int i = 3; i < count && i < 10; ++i) *fields[i - 3] = std::atoi(arguments[i]);
        const fs::path folder = arguments[1], tokenizer = arguments[2];
        fs::create_directories(folder);
        for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
            if (fs::exists(tokenizer / name)) format::copyFile(tokenizer / name, folder / name);
        writeConfig(folder / "config.json", shape);
        writeWeights(folder / "model.safetensors", shape);
    } catch (const Error& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    return 0;
}
