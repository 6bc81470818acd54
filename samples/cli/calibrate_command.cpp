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

struct CalibrateArguments {
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

int calibrateModel(const CalibrateArguments& arguments) {
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

void addCalibrateCommand(CommandLine& line) {
    Command command = line.command("calibrate", "Quantise a model folder on the CPU, with transforms fitted to text");
    auto a = std::make_shared<CalibrateArguments>();
    calibrate::CalibrateOptions& o = a->options;
    o.texts.samples = 128;
    o.texts.seqLen = 2048;
    o.stop = &interrupted;
    command.option("MODEL_DIR", o.modelDir, "Hugging Face folder: config.json, *.safetensors, tokenizer.json").required();
    command.option("-o,--output", o.outDir, "Folder to write; must not exist").required();
    command.option("-f,--text", o.texts.files, "Calibration text, UTF-8; several files may follow").required();
    command.option("--weights", o.weightBits, "Bits of a weight").oneOf({4, 8, 16});
    command.option("--activations", o.activationBits, "Bits of an activation").oneOf({4, 8, 16});
    command.option("--transform", a->transform, "What is done to the inputs of linears: nothing, a Hadamard mix, or CAT and then a mix")
        .oneOf({"none", "hadamard", "cat"});
    command.option("--block", o.block, "Channels in a block of the CAT transform").range(16, 128);
    command.option("--group-size", o.groupSize, "Inputs that share a weight scale; 0: a whole row").oneOf({0, 32, 64, 128});
    command.option("--scales", a->scales, "Weight scales: from the largest weight, or searched for least squared error")
        .oneOf({"absmax", "mse"});
    command.flag("--symmetric,!--asymmetric", o.activationSymmetric, "4-bit activations without or with a zero point [--asymmetric]");
    command.option("--separator", o.texts.separator, "What stands between texts in a file; none: one long text cut into windows");
    command.option("--samples", o.texts.samples, "Sequences to use, from the start; 0: all").atLeastZero();
    command.option("--seq-len", o.texts.seqLen, "Tokens in a sequence at most (and never more than the model's context)")
        .range(2, 1 << 20);
    command.option("--seed", o.seed, "Chooses the rows the report measures on");
    command.option("-t,--threads", o.threads, "CPU threads; 0: one a core. Never changes the result").range(0, 1024);
    command.flag("--overwrite", o.overwrite, "Replace the output folder once the new one is complete");
    command.flag("--dry-run", a->dryRun, "Only say what peak memory, disk and time it would take");
    command.footer("An interrupted run (Ctrl-C, a power cut) continues when the same command is given again.");
    command.action([a] {
        using calibrate::TransformKind;
        using format::ScaleSearch;
        const std::map<std::string, TransformKind> kinds{
            {"none", TransformKind::None}, {"hadamard", TransformKind::Hadamard}, {"cat", TransformKind::Cat}};
        a->options.transform = kinds.at(a->transform);
        a->options.scales = a->scales == "mse" ? ScaleSearch::Mse : ScaleSearch::AbsMax;
        return calibrateModel(*a);
    });
}

}  // namespace vulcat::cli
