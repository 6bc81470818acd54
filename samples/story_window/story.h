#pragma once
// The story: a model on the renderer's device, told a slice at a time.

#include "vulcat.h"

#include <cstdint>
#include <string>

class Story {
  public:
    Story(const VulcatHostDevice& host, const std::string& modelFolder);
    ~Story();
    Story(const Story&) = delete;

    /// Starts over with a prompt; another seed tells another story.
    void begin(const std::string& prompt, uint64_t seed);
    /// Submits at most this much work for the story; call it once a frame. After the end of a story the next one begins.
    void step(uint32_t budgetUs);

    const std::string& text() const { return text_; }
    uint32_t tokens() const { return tokens_; }  // told since the first begin()

  private:
    void require(VulcatResult result, const char* what) const;
    void take(int32_t token);

    VulcatContext context_ = nullptr;
    VulcatModel model_ = nullptr;
    VulcatSession session_ = nullptr;
    VulcatTextStream stream_ = nullptr;
    std::string prompt_;
    std::string text_;
    uint64_t seed_ = 0;
    uint32_t tokens_ = 0;
};
