// The vulcat program: one executable with a subcommand for each job.

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/mpi_team.h"
#include "cli/terminal.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>

namespace vulcat::cli {

std::atomic<bool> interrupted{false};

void stopIfInterrupted() {
    if (interrupted.load()) throw Error(Result::Cancelled, "interrupted");
}

namespace {

// The second signal ends the program at once: whatever is on disk is complete at any moment.
extern "C" void onInterrupt(int signal) {
    interrupted.store(true, std::memory_order_relaxed);
    std::signal(signal, SIG_DFL);
}

/// A full disk behind `> file` shows itself only when the last of the output is written.
int withOutputWritten(int code) {
    errno = 0;
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
    const std::string why = errno == 0 ? "" : std::string(": ") + std::strerror(errno);
    logError("the output could not be written completely" + why);
    return code == kExitOk ? kExitFailure : code;
}

int run(int argc, char** argv) {
    CommandLine line("vulcat", "vulcat runs 4-bit LLM layers on any Vulkan device.", VULCAT_VERSION,
                     "Data goes to stdout, logs to stderr. NO_COLOR is respected.\n"
                     "Exit codes: 0 ok, 1 failure, 2 usage, 3 bad input file, 4 no usable device, 5 out of memory,\n"
                     "6 device lost, 7 wrong result, 130 interrupted with state saved.");
    addCalibrateCommand(line);
    addRunCommand(line);
    addEvalCommand(line);
    addDevicesCommand(line);
    addInspectCommand(line);
    addReportCommand(line);
    addStatisticsCommand(line);
    addBenchCommand(line);
    Action chosen;
    int code = kExitOk;
    if (!line.parse(argc, argv, chosen, code)) return code;
    try {
        return withOutputWritten(chosen());
    } catch (const Error& error) {
        logError(error.what());
        return exitCode(error.code());
    } catch (const std::bad_alloc&) {
        logError("out of memory");
        return kExitOutOfMemory;
    } catch (const std::exception& error) {
        logError(error.what());
        return kExitFailure;
    }
}

}  // namespace
}  // namespace vulcat::cli

int main(int argc, char** argv) {
    std::signal(SIGINT, vulcat::cli::onInterrupt);
    std::signal(SIGTERM, vulcat::cli::onInterrupt);  // of time limits: no reason to lose more than to Ctrl-C
    std::signal(SIGPIPE, SIG_DFL);
    const int code = vulcat::cli::run(argc, argv);
    if (code != vulcat::cli::kExitOk) vulcat::cli::endTogether(code);
    return code;
}
