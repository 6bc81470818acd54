#include "cli/arguments.h"

#include "cli/exit_code.h"
#include "cli/terminal.h"

#include <CLI/CLI.hpp>

namespace vulcat::cli {

Argument& Argument::required() {
    option_->required();
    return *this;
}

Argument& Argument::range(int least, int most) {
    option_->check(CLI::Range(least, most));
    return *this;
}

Argument& Argument::range(double least, double most) {
    option_->check(CLI::Range(least, most));
    return *this;
}

Argument& Argument::atLeastZero() {
    option_->check(CLI::NonNegativeNumber);
    return *this;
}

Argument& Argument::positive() {
    option_->check(CLI::PositiveNumber)->default_str("");  // the target's zero stands for "not given"
    return *this;
}

Argument& Argument::oneOf(std::initializer_list<const char*> values) {
    option_->check(CLI::IsMember(std::vector<std::string>(values.begin(), values.end())));
    return *this;
}

Argument& Argument::oneOf(std::initializer_list<int> values) {
    option_->check(CLI::IsMember(std::vector<int>(values)));
    return *this;
}

Argument& Argument::commas() {
    option_->delimiter(',');
    return *this;
}

Argument& Argument::excludes(const Argument& other) {
    option_->excludes(other.option_);
    return *this;
}

template <class Target>
Argument Command::add(const char* names, Target& target, const char* help, bool showDefault) {
    CLI::Option* option = command_->add_option(names, target, help);
    if (showDefault) option->capture_default_str();
    return Argument(option);
}

Argument Command::option(const char* names, std::string& target, const char* help) { return add(names, target, help, !target.empty()); }
Argument Command::option(const char* names, std::filesystem::path& target, const char* help) {
    return add(names, target, help, !target.empty());
}
Argument Command::option(const char* names, int& target, const char* help) { return add(names, target, help, true); }
Argument Command::option(const char* names, uint32_t& target, const char* help) { return add(names, target, help, true); }
Argument Command::option(const char* names, uint64_t& target, const char* help) { return add(names, target, help, true); }
Argument Command::option(const char* names, float& target, const char* help) { return add(names, target, help, true); }
Argument Command::option(const char* names, double& target, const char* help) { return add(names, target, help, true); }
Argument Command::option(const char* names, std::vector<std::string>& target, const char* help) {
    return add(names, target, help, !target.empty());
}
Argument Command::option(const char* names, std::vector<std::filesystem::path>& target, const char* help) {
    return add(names, target, help, !target.empty());
}
Argument Command::option(const char* names, std::vector<uint32_t>& target, const char* help) {
    return add(names, target, help, !target.empty());
}

Argument Command::flag(const char* names, bool& target, const char* help) { return Argument(command_->add_flag(names, target, help)); }

void Command::footer(const char* text) { command_->footer(text); }

void Command::action(Action run) {
    command_->callback([chosen = chosen_, run = std::move(run)] { *chosen = run; });
}

CommandLine::CommandLine(const char* name, const char* purpose, const char* version, const char* footer)
    : app_(new CLI::App(purpose, name)) {
    app_->set_version_flag("--version", version);
    app_->require_subcommand(1);
    app_->get_formatter()->column_width(36);
    app_->footer(footer);
}

CommandLine::~CommandLine() { delete app_; }

Command CommandLine::command(const char* name, const char* purpose) { return Command(app_->add_subcommand(name, purpose), &chosen_); }

bool CommandLine::parse(int argc, char** argv, Action& action, int& code) {
    try {
        app_->parse(argc, argv);
    } catch (const CLI::RequiredError& error) {
        const std::string word = argc > 1 ? argv[1] : "";
        if (app_->get_subcommands().empty() && !word.empty() && word[0] != '-')
            logError("there is no command '" + word + "'; run with --help for those there are");
        else
            app_->exit(error);
        code = kExitUsage;
        return false;
    } catch (const CLI::ParseError& error) {
        code = app_->exit(error) == 0 ? kExitOk : kExitUsage;
        return false;
    }
    action = chosen_;
    return true;
}

}  // namespace vulcat::cli
