#pragma once
// What the subcommands share. Each file <name>_command.cpp adds one subcommand to the program.

#include "cli/arguments.h"

#include <atomic>

namespace vulcat::cli {

void addCalibrateCommand(CommandLine& line);
void addRunCommand(CommandLine& line);
void addEvalCommand(CommandLine& line);
void addDevicesCommand(CommandLine& line);
void addInspectCommand(CommandLine& line);
void addReportCommand(CommandLine& line);
void addStatisticsCommand(CommandLine& line);
void addBenchCommand(CommandLine& line);

/// Set by Ctrl-C and SIGTERM; long work looks at it, saves what it has and ends with exit code 130.
extern std::atomic<bool> interrupted;
/// Throws Error(Cancelled) once it is set.
void stopIfInterrupted();

}  // namespace vulcat::cli
