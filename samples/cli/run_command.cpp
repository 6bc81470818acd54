// vulcat run: continues a prompt on a Vulkan device and streams the text.

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/gpu_model.h"
#include "cli/terminal.h"

#include "model/generator.h"

#include <chrono>
#include <cstdio>
#include <memory>

namespace vulcat::cli {
namespace {

struct RunArguments {
    std::filesystem::path folder;
    std::string prompt;
    std::string device = "auto";
    uint32_t tokens = 256;
    uint32_t context = 0;
    model::SamplingOptions sampling{0.8f, 40, 0.95f, 0};
    bool hidePrompt = false;
};

int generate(const RunArguments& a) {
    using Clock = std::chrono::steady_clock;
    OpenDevice device(a.device);
    const GpuModel gpu(device, a.folder);
    model::Session session(gpu.model(), {.contextLength = a.context});
    model::Generator generator(session, gpu.tokenizer(), a.sampling);
    if (!a.hidePrompt) std::fputs(a.prompt.c_str(), stdout);
    std::fflush(stdout);

    const auto begin = Clock::now();
    generator.appendText(a.prompt);
    const auto afterPrompt = Clock::now();
    const uint32_t promptTokens = session.position();
    const uint32_t made = generator.generate(a.tokens, [](std::string_view text) {
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
        return !interrupted.load();
    });
    const double generateSeconds = std::chrono::duration<double>(Clock::now() - afterPrompt).count();
    const double promptSeconds = std::chrono::duration<double>(afterPrompt - begin).count();
    std::fputc('\n', stdout);
    std::fflush(stdout);
    const auto rate = [](uint32_t tokens, double seconds) { return fixed(tokens / std::max(seconds, 1e-9), 1) + " tokens/s"; };
    logLine("Prompt: " + std::to_string(promptTokens) + " tokens, " + rate(promptTokens, promptSeconds) + ". Generated: " +
            std::to_string(made) + " tokens, " + rate(made, generateSeconds) + ".");
    return interrupted.load() ? kExitInterrupted : kExitOk;
}

}  // namespace

void addRunCommand(CommandLine& line) {
    Command command = line.command("run", "Continue a prompt on a Vulkan device; float and calibrated folders alike");
    auto a = std::make_shared<RunArguments>();
    command.option("MODEL_DIR", a->folder, "Model folder").required();
    command.option("-p,--prompt", a->prompt, "Text to continue; none: the model begins by itself");
    command.option("-n,--n-predict", a->tokens, "Tokens to generate at most; 0: until the text ends or the context is full");
    command.option("-d,--device", a->device, "auto, or an index, a UUID, or part of a name of `vulcat devices`");
    command.option("-c,--ctx-size", a->context, "Tokens of context; 0: the model's, at most 4096");
    command.option("--temp", a->sampling.temperature, "Temperature; 0: always the likeliest token").range(0.0, 100.0);
    command.option("--top-k", a->sampling.topK, "Choose among the K likeliest tokens; 0: all");
    command.option("--top-p", a->sampling.topP, "Choose among the likeliest tokens that share this probability").range(0.001, 1.0);
    command.option("-s,--seed", a->sampling.seed, "Of the random choices: the same seed, the same text");
    command.flag("--no-display-prompt", a->hidePrompt, "Print only what is generated");
    command.action([a] { return generate(*a); });
}

}  // namespace vulcat::cli
