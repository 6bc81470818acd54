#pragma once
#include "base/error.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>

namespace vulcat::test {

/// The code of the Error that `action` ends with, which must say something, or Ok.
inline Result codeOf(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        CHECK(std::string(error.what()).size() > 10);
        return error.code();
    }
    return Result::Ok;
}

}  // namespace vulcat::test
