#include "text/pattern.h"

#include "base/error.h"
#include "text/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <new>

namespace vulcat::text {

namespace {

constexpr size_t kMaxExpressionBytes = 65'536;
// Real patterns need a handful of steps for a word. A hostile one is stopped after about a millisecond a match.
constexpr uint32_t kMatchLimit = 200'000;
constexpr uint32_t kMaxHeapKiB = 16 * 1024;
// \C matches one byte: it would cut characters in two, and matching trusts the text to be whole characters.
constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;

struct Free {
    void operator()(pcre2_code* p) const { pcre2_code_free(p); }
    void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
    void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};

template <class T>
std::unique_ptr<T, Free> owned(T* pointer) {
    if (pointer == nullptr) throw std::bad_alloc();
    return std::unique_ptr<T, Free>(pointer);
}

std::string messageOf(int number) {
    std::array<PCRE2_UCHAR, 256> text{};
    pcre2_get_error_message(number, text.data(), text.size());
    return reinterpret_cast<const char*>(text.data());
}

}  // namespace

struct Pattern::Code {
    std::unique_ptr<pcre2_code, Free> code;
    std::unique_ptr<pcre2_match_context, Free> context;
};

Pattern::Pattern(const std::string& expression) {
    if (expression.size() > kMaxExpressionBytes) {
        throw Error(Result::InvalidFile, "tokenizer.json: a pattern is longer than 64 KiB");
    }
    int number = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(), kOptions,
                                         &number, &offset, nullptr);
    if (compiled == nullptr) {
        throw Error(Result::InvalidFile, "tokenizer.json: a pattern does not compile at its byte " +
                                             std::to_string(offset) + ": " + messageOf(number));
    }
    Code code{owned(compiled), owned(pcre2_match_context_create(nullptr))};
    pcre2_set_match_limit(code.context.get(), kMatchLimit);
    pcre2_set_heap_limit(code.context.get(), kMaxHeapKiB);
    // Without a just-in-time compiler on this machine matching is slower and otherwise the same.
    pcre2_jit_compile(code.code.get(), PCRE2_JIT_COMPLETE);
    code_ = std::make_unique<const Code>(std::move(code));
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

void Pattern::split(std::string_view text, bool keepMatches, std::vector<std::string_view>& pieces) const {
    const auto data = owned(pcre2_match_data_create_from_pattern(code_->code.get(), nullptr));
    const auto match = [&](size_t from, uint32_t options) {
        return pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                           // The check would run over the whole text at each match.
                           options | PCRE2_NO_UTF_CHECK, data.get(), code_->context.get());
    };
    size_t taken = 0;
    size_t from = 0;
    while (from < text.size()) {
        int count = match(from, 0);
        // The just-in-time code runs on a small fixed stack; the interpreter takes from the heap.
        if (count == PCRE2_ERROR_JIT_STACKLIMIT) count = match(from, PCRE2_NO_JIT);
        if (count == PCRE2_ERROR_NOMATCH) break;
        if (count < 0) {
            throw Error(Result::InvalidFile, "tokenizer.json: matching a pattern failed: " + messageOf(count));
        }
        const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data.get());
        const size_t begin = bounds[0];
        const size_t end = bounds[1];
        // \K in a lookaround can place a match's begin anywhere; an empty match splits nothing.
        if (end <= begin || begin < taken) {
            from = std::max(from, end);
            if (from < text.size()) from += firstCharacter(text.substr(from)).length;
            continue;
        }
        if (begin > taken) pieces.push_back(text.substr(taken, begin - taken));
        if (keepMatches) pieces.push_back(text.substr(begin, end - begin));
        taken = end;
        from = end;
    }
    if (taken < text.size()) pieces.push_back(text.substr(taken));
}

}  // namespace vulcat::text
