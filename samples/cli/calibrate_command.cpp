// vulcat calibrate: a float model folder and text go in, a 4-bit folder and a report come out.

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/site_table.h"
#include "cli/terminal.h"

#include "calibrate/calibrate.h"
#include "calibrate/estimate.h"

#include <cstdio>
#include <map>
#include <memory>

namespace vulcat::cli {
namespace {

struct Arguments {
    calibrate::CalibrateOptions options;
    std::string transform = "cat";
    std::string scales = "mse";
    bool dryRun = false;
};

void printEstimate(const calibrate::Estimate& estimate) {
    Table table({"needs", "amount"});
    table.add({"calibration tokens", std::to_string(estimate.tokens)});
    table.add({"sequences", std::to_string(estimate.sequences)});
    table.add({"layers", std::to_string(estimate.layers)});
    table.add({"peak memory", humanBytes(estimate.peakBytes)});
    table.add({"disk while working", humanBytes(estimate.diskBytes)});
    table.add({"disk free", humanBytes(estimate.freeDiskBytes)});
    table.add({"output folder", humanBytes(estimate.outputBytes)});
    table.add({"time", humanSeconds(estimate.seconds)});
    std::fputs(table.markdown().c_str(), stdout);
}

int calibrateModel(const Arguments& arguments) {
    const calibrate::CalibrateOptions& options = arguments.options;
    if (arguments.dryRun) {
        const calibrate::Estimate estimate = calibrate::estimate(options);
        printEstimate(estimate);
        if (estimate.diskBytes > estimate.freeDiskBytes) {
            logWarning("there is not enough free disk at " + options.outDir.string());
            return kExitFailure;
        }
        return kExitOk;
    }
    ProgressLine line;
    const calibrate::Report report =
        calibrate::calibrate(options, [&](const calibrate::ProgressUpdate& u) { line.update(u.stage, u.done, u.total, u.remainingSeconds); });
    line.clear();
    std::fputs(siteTable(report).markdown().c_str(), stdout);
    if (report.resumed) logLine("Continued an earlier run that had been stopped.");
    logLine("Wrote " + options.outDir.string() + ": " + humanBytes(report.modelBytes) + " of tensors from " +
            std::to_string(report.tokens) + " calibration tokens; each site is in calibration_report.json.");
    return kExitOk;
}

}  // namespace

void addCalibrateCommand(CLI::App& app, Action& chosen) {
    auto* command = app.add_subcommand("calibrate", "Quantise a model folder on the CPU, with transforms fitted to text");
    auto a = std::make_shared<Arguments>();
    calibrate::CalibrateOptions& o = a->options;
    o.texts.samples = 128;
    o.texts.seqLen = 2048;
    o.stop = &interrupted;
    command->add_option("MODEL_DIR", o.modelDir, "Hugging Face folder: config.json, *.safetensors, tokenizer.json")->required();
    command->add_option("-o,--output", o.outDir, "Folder to write; must not exist")->required();
    command->add_option("-f,--text", o.texts.files, "Calibration text, UTF-8; several files may follow")->required();
    command->add_option("--weights", o.weightBits, "Bits of a weight")->check(CLI::IsMember({4, 8, 16}))->capture_default_str();
    command->add_option("--activations", o.activationBits, "Bits of an activation")->check(CLI::IsMember({4, 8, 16}))->capture_default_str();
    command->add_option("--transform", a->transform, "What is done to the inputs of linears: nothing, a Hadamard mix, or CAT and then a mix")
        ->check(CLI::IsMember({"none", "hadamard", "cat"}))->capture_default_str();
    command->add_option("--block", o.block, "Channels in a block of the CAT transform")->check(CLI::Range(16, 128))->capture_default_str();
    command->add_option("--group-size", o.groupSize, "Inputs that share a weight scale; 0: a whole row")->check(CLI::IsMember({0, 32, 64, 128}))->capture_default_str();
    command->add_option("--scales", a->scales, "Weight scales: from the largest weight, or searched for least squared error")
        ->check(CLI::IsMember({"absmax", "mse"}))->capture_default_str();
    command->add_flag("--symmetric,!--asymmetric", o.activationSymmetric, "4-bit activations without or with a zero point [--asymmetric]");
    command->add_option("--separator", o.texts.separator, "What stands between texts in a file; none: one long text cut into windows");
    command->add_option("--samples", o.texts.samples, "Sequences to use, from the start; 0: all")->check(CLI::NonNegativeNumber)->capture_default_str();
    command->add_option("--seq-len", o.texts.seqLen, "Tokens in a sequence at most (and never more than the model's context)")
        ->check(CLI::Range(2, 1 << 20))->capture_default_str();
    command->add_option("--seed", o.seed, "Chooses the rows the report measures on")->capture_default_str();
    command->add_option("-t,--threads", o.threads, "CPU threads; 0: one a core. Never changes the result")->check(CLI::Range(0, 1024))->capture_default_str();
    command->add_flag("--overwrite", o.overwrite, "Replace the output folder once the new one is complete");
    command->add_flag("--dry-run", a->dryRun, "Only say what peak memory, disk and time it would take");
    command->footer("An interrupted run (Ctrl-C, a power cut) continues when the same command is given again.");
    command->callback([a, &chosen] {
        using format::ScaleSearch;
        using calibrate::TransformKind;
        const std::map<std::string, TransformKind> kinds{
            {"none", TransformKind::None}, {"hadamard", TransformKind::Hadamard}, {"cat", TransformKind::Cat}};
        a->options.transform = kinds.at(a->transform);
        a->options.scales = a->scales == "mse" ? ScaleSearch::Mse : ScaleSearch::AbsMax;
        chosen = [a] { return calibrateModel(*a); };
    });
}

}  // namespace vulcat::cli
