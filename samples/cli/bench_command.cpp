// vulcat bench: prompt and generation speed of a model, the speed of single kernels, or that of
// calibration's steps.

#include "cli/calibrate_bench.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/gpu_model.h"
#include "cli/kernel_bench.h"
#include "cli/session_profile.h"
#include "cli/terminal.h"
#include "cli/tune_bench.h"

#include "model/session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

namespace vulcat::cli {
namespace {

struct BenchArguments {
    std::filesystem::path folder;
    std::string device = "auto";
    std::string format = "md";
    uint32_t prompt = 512, generate = 128, repetitions = 5;
    bool profile = false;
    bool explain = false;
    bool kernels = false;
    bool calibrate = false;
    bool tune = false, candidates = false;
    int width = 4096, threads = 0;
    std::vector<std::string> shapes{"4096x4096", "14336x4096", "4096x14336"};
    std::vector<uint32_t> rows{1, 512};
    std::vector<std::string> types{"w4a16-g128", "w4a8", "w4a4", "w4a4-g128"};
    double seconds = 0.5;
};

/// Random tokens: speed does not depend on which.
std::vector<int32_t> someTokens(const format::ModelConfig& config, uint32_t count) {
    std::vector<int32_t> tokens(count);
    uint32_t state = 1;
    for (int32_t& token : tokens) {
        state = state * 1664525u + 1013904223u;
        token = static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(config.vocabSize));
    }
    return tokens;
}

double seconds(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Adds a row: median, and the standard deviation, of tokens/s over the repetitions; one run before does not count.
void measure(LiveTable& table, const BenchArguments& a, const std::string& test, uint32_t tokens, const std::function<void()>& run) {
    run();
    std::vector<double> rates;
    for (uint32_t i = 0; i < a.repetitions; ++i) {
        stopIfInterrupted();
        rates.push_back(tokens / std::max(seconds(run), 1e-9));
    }
    std::sort(rates.begin(), rates.end());
    double mean = 0, square = 0;
    for (double r : rates) mean += r / static_cast<double>(rates.size());
    for (double r : rates) square += (r - mean) * (r - mean) / static_cast<double>(rates.size());
    table.add({test, fixed(rates[rates.size() / 2], 2), fixed(std::sqrt(square), 2)});
}

/// How many dispatches a layer takes: the shortest stretch behind `begin` that repeats once a layer; 0 if none does.
size_t layerPeriod(const std::vector<vk::DispatchNote>& notes, size_t begin, size_t layers) {
    if (layers < 2) return notes.size() - begin;
    for (size_t period = 1; begin + period * layers <= notes.size(); ++period) {
        bool repeats = true;
        for (size_t i = begin + period; i < begin + period * layers && repeats; ++i) {
            repeats = notes[i].label == notes[i - period].label && notes[i].readBytes == notes[i - period].readBytes;
        }
        if (repeats) return period;
    }
    return 0;
}

/// The dispatches of one token at the end of the context so far; layers that are alike are listed once.
void printDispatches(model::Session& session, int32_t token, const std::string& format) {
    std::vector<vk::DispatchNote> notes;
    session.noteDispatches(&notes);
    session.forward({&token, 1});
    session.noteDispatches(nullptr);
    const auto layers = static_cast<size_t>(session.model().config().layers);
    size_t begin = 0;
    while (begin < notes.size() && notes[begin].label == "embedding") ++begin;
    const size_t period = layerPeriod(notes, begin, layers);
    Table table({"part", "kernel", "module", "workgroups", "reads", "writes"});
    for (size_t i = 0; i < notes.size(); ++i) {
        const bool layer = period > 0 && i >= begin && i < begin + period * layers;
        if (layer && i >= begin + period) continue;
        const vk::DispatchNote& note = notes[i];
        const std::string groups = std::to_string(note.groups[0]) + " x " + std::to_string(note.groups[1]) + " x " + std::to_string(note.groups[2]);
        table.add({layer ? "each layer" : "", note.label, note.module, groups, humanBytes(note.readBytes), humanBytes(note.writtenBytes)});
    }
    printBeside(table, "A token's " + std::to_string(notes.size()) + " dispatches, " + std::to_string(period) + " in each of " + std::to_string(layers) + " layers:", format);
}

int benchModel(const BenchArguments& a) {
    if (a.folder.empty()) throw Error(Result::InvalidArgument, "give MODEL_DIR, or --kernels to measure single kernels");
    OpenDevice device(a.device);
    const GpuModel gpu(device, a.folder);
    const format::ModelConfig& config = gpu.model().config();
    const uint32_t context = std::min(static_cast<uint32_t>(config.maxPositions), std::max(a.prompt, a.generate));
    model::Session session(gpu.model(), {.contextLength = context});
    const std::vector<int32_t> tokens = someTokens(config, context);
    const uint32_t prompt = std::min(a.prompt, context), generate = std::min(a.generate, context);
    LiveTable table({"test", "tokens/s", "+-"}, a.format, {8, 9, 8});
    const auto decode = [&] {
        session.reset();
        for (uint32_t i = 0; i < generate; ++i) {
            stopIfInterrupted();
            session.forward(std::span(tokens).subspan(i, 1));
        }
    };
    const auto prefill = [&] {
        session.reset();
        session.forward(std::span(tokens).first(prompt));
    };
    const auto profile = [&](const std::function<void()>& run, uint32_t count, const std::string& what) {
        if (a.profile && count > 0) profileSession(device.engine(), session, run, {count, what, a.format});
    };
    if (prompt > 0) measure(table, a, "pp" + std::to_string(prompt), prompt, prefill);
    if (generate > 0) measure(table, a, "tg" + std::to_string(generate), generate, decode);
    table.finish();
    profile(prefill, prompt, "the prompt");
    profile(decode, generate, "generation");
    if (a.profile && generate > 0) {
        const std::chrono::nanoseconds before = session.recordingTime();
        const double wall = seconds(decode);
        const double recording = std::chrono::duration<double>(session.recordingTime() - before).count();
        std::fprintf(a.format == "md" ? stdout : stderr,
                     "\nRecording its commands takes %.1f us a token, %.2f %% of a token without timestamps, while the device works on "
                     "the token before.\n",
                     1e6 * recording / generate, 100 * recording / wall);
    }
    if ((a.profile || a.explain) && generate > 0 && session.programSteps() != 0) {
        std::fprintf(a.format == "md" ? stdout : stderr,
                     "\nOn this device %zu of a token's kernels, named row_..., run as the steps of one dispatch; only for profiles, these "
                     "lists and passes within a budget is each a dispatch of its own.\n",
                     session.programSteps());
    }
    if (a.explain) {
        session.reset();
        printDispatches(session, tokens.front(), a.format);
    }
    return kExitOk;
}

int benchKernelList(const BenchArguments& a) {
    KernelBenchOptions options;
    for (const std::string& shape : a.shapes) options.shapes.push_back(parseKernelShape(shape));
    options.rows = a.rows;
    options.formats = a.types;
    options.secondsEach = a.seconds;
    OpenDevice device(a.device);
    benchKernels(device.device(), options, a.format);
    return kExitOk;
}

int tune(const BenchArguments& a) {
    if (a.folder.empty()) throw Error(Result::InvalidArgument, "--tune needs MODEL_DIR: it measures that model's linears");
    OpenDevice device(a.device);
    tuneModel(device, a.folder, a.candidates, a.format);
    return kExitOk;
}

int benchCalibration(const BenchArguments& a) {
    std::fputs(calibrateBench(a.width, a.repetitions, a.threads).format(a.format).c_str(), stdout);
    return kExitOk;
}

int bench(const BenchArguments& a) {
    if (a.candidates && !a.tune) throw Error(Result::InvalidArgument, "--candidates needs --tune: it prints what tuning measured");
    return a.tune ? tune(a) : a.calibrate ? benchCalibration(a) : a.kernels ? benchKernelList(a) : benchModel(a);
}

}  // namespace

void addBenchCommand(CommandLine& line) {
    Command command = line.command("bench", "Measure a model's tokens/s, or single kernels in ms, GB/s and GOP/s");
    auto a = std::make_shared<BenchArguments>();
    command.option("MODEL_DIR", a->folder, "Model folder, float or calibrated");
    command.option("-d,--device", a->device, "auto, or an index, a UUID, or part of a name of `vulcat devices`");
    command.option("-p,--n-prompt", a->prompt, "Tokens of the prompt test (pp); 0: leave it out");
    command.option("-n,--n-gen", a->generate, "Tokens of the generation test (tg); 0: leave it out");
    command.option("-r,--repetitions", a->repetitions, "Runs of each test; the median is printed").range(1, 1000);
    command.flag("--profile", a->profile, "Also print each kernel's time in both tests, and what no kernel accounts for");
    command.flag("--explain", a->explain, "Also print the dispatches of a token, with what they read and write");
    command.flag("--kernels", a->kernels,
                 "Measure single kernels instead of a model: beside a large copy on the device (% of copy), a copy of as many bytes "
                 "as the kernel moves, which starts and ends as it does (% of a copy as large), and chains of multiply-adds (% of peak)");
    command.option("--shapes", a->shapes, "With --kernels: OUTPUTSxINPUTS, ...").commas();
    command.option("--rows", a->rows, "With --kernels: tokens at once, M, ...").commas().range(1, 4096);
    command.option("--types", a->types, "With --kernels: w4a4, w4a8, w4a16, w8a8, w8a16, w16a16, with -g32, -g64 or -g128 for group scales")
        .commas();
    command.option("--seconds", a->seconds, "With --kernels: seconds of measuring each entry").range(0.0, 60.0);
    command.option("-o,--output,--format", a->format, "Output format").oneOf({"md", "csv", "json"});
    command.flag("--tune", a->tune,
                 "Measure the kernels that MODEL_DIR's linear layers could run with on the device, check their results, and keep "
                 "the fastest for later runs (in VULCAT_CACHE, or the user's cache folder)");
    command.flag("--candidates", a->candidates, "With --tune: print every kernel that was measured, not only those that won");
    command.flag("--calibrate", a->calibrate, "Measure calibration's heavy steps on the CPU instead of a model");
    command.option("--width", a->width, "With --calibrate: inputs and outputs of the layer").range(128, 16384);
    command.option("-t,--threads", a->threads, "With --calibrate: CPU threads; 0: as many as it may use").range(0, 1024);
    command.action([a] { return bench(*a); });
}

}  // namespace vulcat::cli
