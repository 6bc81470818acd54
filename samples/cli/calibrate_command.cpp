// vulcat calibrate: a float model folder and text go in, a 4-bit folder and a report come out.

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/mpi_team.h"
#include "cli/site_table.h"
#include "cli/terminal.h"

#include "calibrate/calibrate.h"
#include "calibrate/estimate.h"

#include "base/error.h"

#include <cstdio>
#include <map>
#include <memory>
#include <string>

namespace vulcat::cli {
namespace {

constexpr double kLeastSqnr = 10;  // dB

struct CalibrateArguments {
    calibrate::CalibrateOptions options;
    std::string recipe = "fast";
    // Empty or 0: as the recipe has it.
    std::string transform, block, rounding, permute, permuteResidual;
    int weights = 0, activations = 0;
    double bits = 0;        ///< a weight of WaterSIC
    double targetBits = 0;  ///< 0: none
    double leastSqnr = 0;   ///< 0: kLeastSqnr
    bool keepEight = false;
    std::string scales = "mse";
    bool dryRun = false;
};

int blockNamed(const std::string& name) {
    if (name == "full") return calibrate::kFullBlock;
    const bool number = name.size() <= 4 && name.find_first_not_of("0123456789") == std::string::npos;
    const int block = number ? std::stoi(name) : 0;
    if (block == 0) throw Error(Result::InvalidArgument, "--block takes 16 to 256, or full");
    return block;
}

/// Recipe first, then what was said besides.
void settle(CalibrateArguments& a) {
    using calibrate::Permute;
    using calibrate::Rounding;
    using calibrate::TransformKind;
    calibrate::CalibrateOptions& o = a.options;
    calibrate::applyRecipe(a.recipe, o);
    const std::map<std::string, TransformKind> transforms{{"none", TransformKind::None},
                                                          {"hadamard", TransformKind::Hadamard},
                                                          {"block-hadamard", TransformKind::BlockHadamard},
                                                          {"cat", TransformKind::Cat}};
    const std::map<std::string, Rounding> roundings{
        {"nearest", Rounding::Nearest}, {"gptq", Rounding::Gptq}, {"watersic", Rounding::WaterSic}};
    const std::map<std::string, Permute> permutations{
        {"none", Permute::None}, {"mass", Permute::Mass}, {"cat", Permute::Cat}};
    if (a.bits > 0 && a.rounding.empty()) a.rounding = "watersic";
    if (!a.rounding.empty()) o.rounding = roundings.at(a.rounding);
    if (o.rounding == Rounding::WaterSic) {  // brings its own transform; 8-bit integers carry its codes
        o.transform = TransformKind::None;
        o.permute = Permute::None;
        o.permuteResidual = Permute::None;
        o.weightBits = 8;
        o.activationBits = 8;
        if (a.bits > 0) o.rate = a.bits;
    }
    if (!a.transform.empty()) o.transform = transforms.at(a.transform);
    if (!a.permute.empty()) o.permute = permutations.at(a.permute);
    if (!a.permuteResidual.empty()) o.permuteResidual = permutations.at(a.permuteResidual);
    if (!a.block.empty()) o.block = blockNamed(a.block);
    if (a.weights != 0) o.weightBits = a.weights;
    if (a.activations != 0) o.activationBits = a.activations;
    if (o.weightBits == 16 && a.transform.empty()) o.transform = TransformKind::None;
    if (a.targetBits > 0) o.targetBits = a.targetBits;
    if (a.keepEight) o.leastSqnr = a.leastSqnr > 0 ? a.leastSqnr : kLeastSqnr;
    if (a.leastSqnr > 0 && !a.keepEight)
        throw Error(Result::InvalidArgument, "--least-sqnr is what --auto asks of a site; add --auto, or leave it out");
    if (a.bits > 0 && o.rounding != Rounding::WaterSic)
        throw Error(Result::InvalidArgument, "--bits is the rate of WaterSIC; leave it out, or choose --rounding watersic");
    if (o.actOrder && o.rounding != Rounding::Gptq)
        throw Error(Result::InvalidArgument, "--act-order is an order of GPTQ's; add --rounding gptq, or leave it out");
    o.scales = a.scales == "mse" ? format::ScaleSearch::Mse : format::ScaleSearch::AbsMax;
}

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
    calibrate::CalibrateOptions options = arguments.options;
    if (arguments.dryRun) {
        const calibrate::Estimate estimate = calibrate::estimate(options);
        printEstimate(estimate);
        if (estimate.diskBytes > estimate.freeDiskBytes) {
            logWarning("there is not enough free disk at " + options.outDir.string());
            return kExitFailure;
        }
        return kExitOk;
    }
    const std::unique_ptr<calibrate::Team> team = startedTogether();
    options.team = team.get();
    const bool speaks = team == nullptr || team->rank() == 0;
    ProgressLine line;
    const calibrate::Report report = calibrate::calibrate(options, [&](const calibrate::ProgressUpdate& u) {
        if (speaks) line.update(u.stage, u.done, u.total, u.remainingSeconds);
    });
    line.clear();
    if (!speaks) return kExitOk;
    std::fputs(siteTable(report).markdown().c_str(), stdout);
    if (report.resumed) logLine("Continued an earlier run that had been stopped.");
    logLine("Wrote " + options.outDir.string() + ": " + humanBytes(report.modelBytes) + " of tensors from " +
            std::to_string(report.tokens) + " calibration tokens; each site is in calibration_report.html (and .json).");
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
    command.option("-f,--text", o.texts.files, "Calibration text, UTF-8; several files may follow");
    command.option("--statistics", o.statistics, "Calibrate from this file of `vulcat statistics`, not from texts");
    command.option("--recipe", a->recipe, "How much work: nearest rounding behind CAT; GPTQ as well; blocks 256 wide as well")
        .oneOf({"fast", "balanced", "best"});
    command.option("--weights", a->weights, "Bits of a weight; 0: 4, or as the rounding has it").oneOf({0, 4, 8, 16});
    command.option("--activations", a->activations, "Bits of an activation; 0: 4, or 8 with WaterSIC").oneOf({0, 4, 8, 16});
    command.option("--head-bits", o.headBits, "Bits of the output layer's weights, its activations having 8 at least; 16: as they are")
        .oneOf({4, 8, 16});
    command.option("--transform", a->transform, "What is done to the inputs of linears: none, hadamard, block-hadamard, or cat (and then a mix); else the recipe's")
        .oneOf({"none", "hadamard", "block-hadamard", "cat"});
    command.option("--block", a->block, "Channels in a block of the transform: 16 to 256, or full; else the recipe's");
    command.option("--rounding", a->rounding, "nearest, gptq, or watersic (entropy-coded); else the recipe's").oneOf({"nearest", "gptq", "watersic"});
    command.option("--bits", a->bits, "Bits a weight of WaterSIC over the whole model, side information included, e.g. 2.5; chooses --rounding watersic")
        .range(0.0, 6.0);
    command.option("--permute", a->permute, "Order of an MLP's hidden channels: none, mass (even blocks), cat (related channels meet); else the recipe's")
        .oneOf({"none", "mass", "cat"});
    command.option("--permute-residual", a->permuteResidual, "The same for the residual stream's channels, one order for all layers; else the recipe's")
        .oneOf({"none", "mass", "cat"});
    command.flag("--act-order", o.actOrder, "GPTQ takes the columns with the largest inputs first");
    command.flag("--random-signs", o.randomSigns, "Random signs before the Hadamard of a transform, from --seed");
    command.option("--target-bits", a->targetBits, "Mean bits of a weight, 4 to 8: sites that 4 bits serve worst get 8; 0: all alike").range(0.0, 8.0);
    command.flag("--auto", a->keepEight, "Keep at 8 bits the sites whose outputs do not reach --least-sqnr with 4");
    command.option("--least-sqnr", a->leastSqnr, "What --auto asks of a site, in dB; 0: 10").range(0.0, 60.0);
    command.option("--group-size", o.groupSize, "Inputs that share a weight scale; 0: a whole row").oneOf({0, 32, 64, 128});
    command.option("--scales", a->scales, "Weight scales: from the largest weight, or searched for least squared error")
        .oneOf({"absmax", "mse"});
    command.flag("--symmetric,!--asymmetric", o.activationSymmetric, "4-bit activations without or with a zero point [--asymmetric]");
    command.option("--separator", o.texts.separator, "What stands between texts in a file; none: one long text cut into windows");
    command.option("--samples", o.texts.samples, "Sequences to use, from the start; 0: all").atLeastZero();
    command.option("--seq-len", o.texts.seqLen, "Tokens in a sequence at most (and never more than the model's context)")
        .range(2, 1 << 20);
    command.option("--seed", o.seed, "Chooses the rows the report measures on, and random signs");
    command.option("-t,--threads", o.threads, "CPU threads; 0: as many as it may use. Never changes the result").range(0, 1024);
    command.flag("--overwrite", o.overwrite, "Replace the output folder once the new one is complete");
    command.flag("--dry-run", a->dryRun, "Only say what peak memory, disk and time it would take");
    command.footer(
        "An interrupted run (Ctrl-C, a power cut) continues when the same command is given again. Under mpirun the\n"
        "processes divide the texts between them; all must see the output folder.");
    command.action([a] {
        settle(*a);
        return calibrateModel(*a);
    });
}

}  // namespace vulcat::cli
