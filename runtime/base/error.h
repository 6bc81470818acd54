#pragma once
// Floor `base`: what every other floor shares and that knows neither files, Vulkan nor models: the error type and
// checked arithmetic on numbers that come from outside.

#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace vulcat {

/// Why something failed. The C API's VulcatResult has the same values; programs map them to exit codes.
enum class Result : int32_t {
    Ok = 0,
    Failure = -1,          ///< anything not named below
    InvalidArgument = -2,  ///< the caller's mistake
    InvalidFile = -3,      ///< bytes from outside that are missing, damaged or disagree with each other
    NoDevice = -4,         ///< no Vulkan driver, or no device that can run what is asked
    OutOfMemory = -5,      ///< host or device memory, or a budget the caller set
    DeviceLost = -6,       ///< the driver gave up; everything on that device is gone
    WrongResult = -7,      ///< a self-test or accuracy check failed
    Cancelled = -8,        ///< the caller asked to stop; what was saved is complete
    Unsupported = -9,      ///< valid, but not something vulcat does
};

/// The only exception type inside vulcat. The message is one sentence that names the file or argument, the field,
/// and what to do about it.
class Error : public std::exception {
  public:
    Error(Result code, std::string message) : code_(code), message_(std::move(message)) {}
    Result code() const { return code_; }
    const char* what() const noexcept override { return message_.c_str(); }

  private:
    Result code_;
    std::string message_;
};

}  // namespace vulcat
