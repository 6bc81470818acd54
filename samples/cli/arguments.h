#pragma once
// What the subcommands declare their arguments with. The parser behind it, CLI11, is included by arguments.cpp alone:
// its headers cost more compile time than all that the commands do.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace vulcat::cli {

/// The subcommand that the arguments chose; returns the exit code.
using Action = std::function<int()>;

/// One argument, to be refined: `command.option(...).range(1, 8)`.
class Argument {
  public:
    explicit Argument(CLI::Option* option) : option_(option) {}
    Argument& required();
    /// Limits of a number, both ends allowed.
    Argument& range(int least, int most);
    Argument& range(double least, double most);
    Argument& atLeastZero();
    Argument& positive();
    /// The values allowed.
    Argument& oneOf(std::initializer_list<const char*> values);
    Argument& oneOf(std::initializer_list<int> values);
    /// Several values may stand in one word, parted by commas.
    Argument& commas();
    /// Not together with `other`.
    Argument& excludes(const Argument& other);

  private:
    CLI::Option* option_;
};

/// One subcommand. `names` is "NAME" for a positional argument, "-x,--xyz" for an option, "--yes,!--no" for a flag that
/// can be taken back. What a target holds is the default, shown by --help unless it is empty; the targets must live
/// until the action has run.
class Command {
  public:
    explicit Command(CLI::App* command, Action* chosen) : command_(command), chosen_(chosen) {}
    Argument option(const char* names, std::string& target, const char* help);
    Argument option(const char* names, std::filesystem::path& target, const char* help);
    Argument option(const char* names, int& target, const char* help);
    Argument option(const char* names, uint32_t& target, const char* help);
    Argument option(const char* names, uint64_t& target, const char* help);
    Argument option(const char* names, float& target, const char* help);
    Argument option(const char* names, double& target, const char* help);
    Argument option(const char* names, std::vector<std::string>& target, const char* help);
    Argument option(const char* names, std::vector<std::filesystem::path>& target, const char* help);
    Argument option(const char* names, std::vector<uint32_t>& target, const char* help);
    Argument flag(const char* names, bool& target, const char* help);
    void footer(const char* text);
    /// What runs when this subcommand was given, once all arguments are known to be right.
    void action(Action run);

  private:
    template <class Target>
    Argument add(const char* names, Target& target, const char* help, bool showDefault);

    CLI::App* command_;
    Action* chosen_;
};

/// The program: its subcommands, then one parse.
class CommandLine {
  public:
    CommandLine(const char* name, const char* purpose, const char* version, const char* footer);
    ~CommandLine();
    CommandLine(const CommandLine&) = delete;
    CommandLine& operator=(const CommandLine&) = delete;

    Command command(const char* name, const char* purpose);
    /// Returns true and the action that was asked for, or false and the exit code where there is nothing to run: help
    /// or the version was printed (0), or an argument was wrong (2).
    bool parse(int argc, char** argv, Action& action, int& code);

  private:
    CLI::App* app_;
    Action chosen_;
};

}  // namespace vulcat::cli
