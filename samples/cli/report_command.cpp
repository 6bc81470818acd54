// vulcat report: writes calibration_report.html of a calibrated folder again, with what recipes cost if that is known or to
// be measured.

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"

#include "calibrate/baselines.h"
#include "calibrate/report_html.h"

#include "format/atomic_file.h"

#include "base/error.h"

#include <nlohmann/json.hpp>

#include <memory>

namespace vulcat::cli {
namespace {

struct ReportArguments {
    std::filesystem::path folder, quality;
    bool baselines = false;
    calibrate::BaselineOptions comparison;
};

int writeReport(ReportArguments& a) {
    if (!a.baselines && (!a.comparison.modelDir.empty() || !a.comparison.judging.files.empty()))
        throw Error(Result::InvalidArgument, "--model and --text belong to --baselines; add it, or leave them out");
    if (a.baselines) {
        if (!a.quality.empty() || a.comparison.modelDir.empty() || a.comparison.judging.files.empty())
            throw Error(Result::InvalidArgument, "--baselines needs --model and --text, and makes the table that --quality would bring");
        a.comparison.calibrated = a.folder;
        a.comparison.calibration.files = a.comparison.judging.files;
        a.comparison.calibration.separator = a.comparison.judging.separator;
        a.comparison.judging.fromEnd = true;
        a.comparison.stop = &interrupted;
        ProgressLine line;
        const auto table = calibrate::compareBaselines(
            a.comparison, [&](const calibrate::ProgressUpdate& u) { line.update(u.stage, u.done, u.total, u.remainingSeconds); });
        line.clear();
        a.quality = a.folder / "calibration_baselines.json";
        format::writeTextFile(a.quality, table.dump(1) + "\n");
    }
    calibrate::writeHtmlReport(a.folder, a.quality);
    logLine("Wrote " + (a.folder / "calibration_report.html").string());
    return kExitOk;
}

}  // namespace

void addReportCommand(CommandLine& line) {
    Command command = line.command("report", "Write calibration_report.html of a calibrated folder");
    auto a = std::make_shared<ReportArguments>();
    calibrate::BaselineOptions& c = a->comparison;
    c.calibration.samples = 128;
    c.calibration.seqLen = c.judging.seqLen = 2048;
    c.judging.samples = 24;
    command.option("MODEL_DIR", a->folder, "Folder with calibration_report.json").required();
    command.option("--quality", a->quality, "JSON of tests/quality_table.sh: adds the loss of each recipe to the page");
    command.flag("--baselines", a->baselines, "Measure the loss of this folder, of nearest rounding by rows and by asymmetric groups, and of GPTQ, and add them");
    command.option("--model", c.modelDir, "With --baselines: the float model it was calibrated from");
    command.option("-f,--text", c.judging.files, "With --baselines: the text; its first sequences calibrate GPTQ, its last ones judge");
    command.option("--separator", c.judging.separator, "What stands between texts in a file; none: one long text cut into windows");
    command.option("--samples", c.calibration.samples, "Sequences that calibrate GPTQ, from the start").positive();
    command.option("--last", c.judging.samples, "Sequences that judge, from the end").positive();
    command.option("-t,--threads", c.threads, "CPU threads; 0: as many as it may use").range(0, 1024);
    command.action([a] { return writeReport(*a); });
}

}  // namespace vulcat::cli
