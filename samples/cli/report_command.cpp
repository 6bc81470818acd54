// vulcat report: writes calibration_report.html of a calibrated folder again, with what recipes cost if that is known.

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"

#include "calibrate/report_html.h"

#include <memory>

namespace vulcat::cli {

void addReportCommand(CommandLine& line) {
    Command command = line.command("report", "Write calibration_report.html of a calibrated folder");
    auto folder = std::make_shared<std::filesystem::path>();
    auto quality = std::make_shared<std::filesystem::path>();
    command.option("MODEL_DIR", *folder, "Folder with calibration_report.json").required();
    command.option("--quality", *quality, "JSON of tests/quality_table.sh: adds the loss of each recipe to the page");
    command.action([folder, quality] {
        calibrate::writeHtmlReport(*folder, *quality);
        logLine("Wrote " + (*folder / "calibration_report.html").string());
        return kExitOk;
    });
}

}  // namespace vulcat::cli
