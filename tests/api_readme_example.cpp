// The C++ example of the README, as a function that the test calls.
#include "vulcat.hpp"

#include <ostream>
#include <string>

void tellStory(const std::string& folder, std::ostream& out) {
    vulcat::Context context("auto");
    vulcat::Model model(context, folder);
    vulcat::Session session(model);
    session.generate("Once upon a time", 40, [&](std::string_view text) { out << text << std::flush; });
}
