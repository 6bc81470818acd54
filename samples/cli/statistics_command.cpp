// vulcat statistics: a share of the calibration texts to a file, and such files to one.

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/mpi_team.h"
#include "cli/terminal.h"

#include "calibrate/gather_statistics.h"

#include "base/error.h"

#include <cstdio>
#include <memory>

namespace vulcat::cli {
namespace {

struct StatisticsArguments {
    calibrate::CalibrateOptions options;
    std::filesystem::path output;
    std::string share = "1/1";
    std::vector<std::filesystem::path> merge;
};

/// "2/4" -> the second of four.
calibrate::Share shareNamed(const std::string& text) {
    int index = 0, count = 0, end = 0;
    if (std::sscanf(text.c_str(), "%6d/%6d%n", &index, &count, &end) != 2 || end != static_cast<int>(text.size()) ||
        count < 1 || index < 1 || index > count)
        throw Error(Result::InvalidArgument, "--share is i/n with 1 <= i <= n, not " + text);
    return {index - 1, count};
}

void logHeader(const std::filesystem::path& file, const calibrate::StatisticsHeader& header) {
    logLine("Wrote " + file.string() + ": " + std::to_string(header.rows) + " tokens of " +
            std::to_string(header.sequences) + " sequences, " + std::to_string(header.shares.size()) + " of " +
            std::to_string(header.shareCount) + " shares.");
}

int mergeFiles(const StatisticsArguments& a) {
    calibrate::mergeStatistics(a.merge, a.output, format::readModelConfig(a.options.modelDir));
    logHeader(a.output, calibrate::StatisticsFile(a.output).header());
    return kExitOk;
}

int gather(StatisticsArguments& a) {
    if (a.options.texts.files.empty()) throw Error(Result::InvalidArgument, "give --text, or files to --merge");
    const std::unique_ptr<calibrate::Team> team = startedTogether();
    a.options.team = team.get();
    const bool speaks = team == nullptr || team->rank() == 0;
    ProgressLine line;
    const auto progress = [&](const calibrate::ProgressUpdate& u) {
        if (speaks) line.update(u.stage, u.done, u.total, u.remainingSeconds);
    };
    const calibrate::StatisticsHeader header =
        calibrate::gatherStatistics(a.options, shareNamed(a.share), a.output, progress);
    line.clear();
    if (speaks) logHeader(a.output, header);
    return kExitOk;
}

}  // namespace

void addStatisticsCommand(CommandLine& line) {
    Command command = line.command("statistics", "Gather a share of the calibration statistics in a file, or merge such files");
    auto a = std::make_shared<StatisticsArguments>();
    calibrate::CalibrateOptions& o = a->options;
    o.texts.samples = 128;
    o.texts.seqLen = 2048;
    o.stop = &interrupted;
    command.option("MODEL_DIR", o.modelDir, "Hugging Face folder: config.json, *.safetensors, tokenizer.json").required();
    command.option("-o,--output", a->output, "File to write, a *.safetensors").required();
    command.option("-f,--text", o.texts.files, "Calibration text, UTF-8; several files may follow");
    command.option("--separator", o.texts.separator, "What stands between texts in a file; none: one long text cut into windows");
    command.option("--samples", o.texts.samples, "Sequences to use, from the start, all shares together; 0: all").atLeastZero();
    command.option("--seq-len", o.texts.seqLen, "Tokens in a sequence at most (and never more than the model's context)")
        .range(2, 1 << 20);
    command.option("--share", a->share, "The part of the sequences that this run takes, as i/n");
    command.option("--merge", a->merge, "Files of other shares to add up, instead of reading texts");
    command.option("--seed", o.seed, "Chooses the rows that reports measure on");
    command.option("-t,--threads", o.threads, "CPU threads; 0: as many as it may use. Never changes the result").range(0, 1024);
    command.footer(
        "Shares of the same texts, options and model merge to what one run gathers, whichever machines they ran on;\n"
        "`vulcat calibrate --statistics FILE` starts from there. An interrupted run continues when it is repeated.\n"
        "Under mpirun the processes divide the share between them.");
    command.action([a] { return a->merge.empty() ? gather(*a) : mergeFiles(*a); });
}

}  // namespace vulcat::cli
