#pragma once
// What the subcommands share. Each file <name>_command.cpp adds one subcommand to the program.

#include <CLI/CLI.hpp>

#include <atomic>
#include <functional>

namespace vulcat::cli {

/// The subcommand that the arguments chose; returns the exit code.
using Action = std::function<int()>;

void addCalibrateCommand(CLI::App& app, Action& chosen);
void addRunCommand(CLI::App& app, Action& chosen);
void addEvalCommand(CLI::App& app, Action& chosen);
void addDevicesCommand(CLI::App& app, Action& chosen);
void addInspectCommand(CLI::App& app, Action& chosen);
void addBenchCommand(CLI::App& app, Action& chosen);

/// Set by Ctrl-C; long work looks at it, saves what it has and ends with exit code 130.
extern std::atomic<bool> interrupted;

}  // namespace vulcat::cli
