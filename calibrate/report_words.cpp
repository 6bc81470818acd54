#include "calibrate/report_words.h"

#include "calibrate/markup.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace vulcat::calibrate {

namespace {

using json = nlohmann::ordered_json;

constexpr double kNoticeable = 0.05;  // dB; less is not worth a sentence
constexpr double kSurprising = 1.0;   // dB between prediction and measurement

constexpr std::array<double SiteQuality::*, 5> kQualityMembers = {&SiteQuality::concentrationX,
                                                                  &SiteQuality::concentrationW, &SiteQuality::alignment,
                                                                  &SiteQuality::predicted, &SiteQuality::measured};

bool hasTransform(const SiteReport& site) {
    return site.block > 0 || site.mixOrder > 1;
}

std::string fromTo(double before, double after) {
    return "from " + decibelText(before) + " to " + decibelText(after) + " dB";
}

/// A value of a nested object, or the fallback when it is absent or of another type.
template <typename T>
T recipeField(const json& object, const char* part, const char* key, T fallback) {
    if (!object.is_object() || !object.contains(part) || !object[part].is_object()) return fallback;
    const json& inner = object[part];
    const auto found = inner.find(key);
    if (found == inner.end()) return fallback;
    if constexpr (std::is_same_v<T, std::string>)
        return found->is_string() ? found->get<T>() : fallback;
    else
        return found->is_number() || found->is_boolean() ? found->get<T>() : fallback;
}

std::string namesListed(const std::vector<std::string>& names) {
    constexpr size_t kMost = 6;
    std::string out;
    for (size_t i = 0; i < std::min(names.size(), kMost); ++i) out += (i == 0 ? "" : ", ") + names[i];
    if (names.size() > kMost) out += " and " + std::to_string(names.size() - kMost) + " more";
    return out;
}

/// Mean measured SQNR after each step, over the sites that have it.
std::vector<std::string> wayThere(const Report& report) {
    double plain = 0, aligned = 0, mixed = 0, after = 0, count = 0;
    for (const SiteReport& site : report.sites) {
        if (!site.aligned) continue;
        plain += site.before.measured;
        aligned += site.aligned->measured;
        mixed += (site.mixed ? *site.mixed : site.after).measured;
        after += site.after.measured;
        ++count;
    }
    if (count == 0) return {};
    std::string out = "Step by step, on average: " + decibelText(plain / count) + " dB plain, " +
                      decibelText(aligned / count) + " dB aligned, " + decibelText(mixed / count) + " dB mixed";
    if (std::fabs(after - mixed) > 0) out += ", " + decibelText(after / count) + " dB as rounded in the end";
    return {out + "."};
}

/// One sentence for each step after which the site measured worse than before it.
std::vector<std::string> stepSentences(const SiteReport& site) {
    std::vector<std::string> out;
    const SiteQuality* last = &site.before;
    const auto step = [&](const SiteQuality& next, const std::string& name) {
        if (next.measured < last->measured - kNoticeable)
            out.push_back(name + " did not help here: measured SQNR went " + fromTo(last->measured, next.measured) +
                          ".");
        last = &next;
    };
    if (site.aligned) step(*site.aligned, "Alignment by itself");
    if (site.mixed) step(*site.mixed, "The mix");
    if (site.mixed)
        step(site.after, "Rounding by " + site.rounding);
    else if (site.aligned)
        step(site.after, "The mix");
    return out;
}

std::string permutationSentence(const SiteReport& site) {
    const double before = *std::max_element(site.massBefore.begin(), site.massBefore.end()),
                 after = *std::max_element(site.massAfter.begin(), site.massAfter.end());
    std::string out = "Permutation (" + site.permutation + "): the fullest block held " + figure(before, 2) +
                      " times the mass of the mean block before, " + figure(after, 2) + " times after" +
                      (after < before ? "" : ", so it did not help to even them out");
    if (site.attainableNatural)
        out += "; the best alignment of such blocks went " + fromTo(*site.attainableNatural, site.attainableBlock);
    return out + ".";
}

}  // namespace

std::string grouped(uint64_t number) {
    std::string digits = std::to_string(number);
    for (size_t at = digits.size(); at > 3;) {
        at -= 3;
        digits.insert(at, "\u202f");
    }
    return digits;
}

std::string bytesText(uint64_t bytes) {
    constexpr std::array<const char*, 5> kUnits = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
    return figure(value, unit == 0 || value >= 100 ? 0 : 1) + " " + kUnits[unit];
}

Means::Means(const Report& report) {
    const auto count = static_cast<double>(report.sites.size());
    for (const SiteReport& site : report.sites)
        for (const auto member : kQualityMembers) {
            before.*member += site.before.*member / count;
            after.*member += site.after.*member / count;
        }
}

std::string recipeSentence(const json& recipe) {
    const int weights = recipeField(recipe, "weights", "bits", 16),
              activations = recipeField(recipe, "activations", "bits", 16);
    std::string out = "W" + std::to_string(weights) + "A" + std::to_string(activations);
    const auto transform = recipeField<std::string>(recipe, "transform", "type", "");
    if (transform == "cat")
        out += (recipeField<std::string>(recipe, "transform", "block", "") == "full"
                    ? ", CAT of the whole width"
                    : ", CAT in blocks of " + std::to_string(recipeField(recipe, "transform", "block", 0))) +
               " and a Hadamard mix";
    else if (transform == "hadamard")
        out += ", a Hadamard mix of the whole width";
    else if (transform == "block-hadamard")
        out += ", Hadamards in blocks of " + std::to_string(recipeField(recipe, "transform", "block", 0));
    else if (transform == "none")
        out += ", no transform";
    if (!recipeField<std::string>(recipe, "transform", "permutation", "").empty()) out += ", hidden channels permuted";
    if (!recipeField<std::string>(recipe, "transform", "residual_permutation", "").empty())
        out += ", residual stream permuted";
    const int head = recipeField(recipe, "weights", "head_bits", 16);
    if (head < 16) out += ", output layer of " + std::to_string(head) + " bits";
    const int group = recipeField(recipe, "weights", "group_size", 0);
    if (weights < 16) {
        out += group == 0 ? ", one weight scale a row" : ", one weight scale per " + std::to_string(group) + " inputs";
        const auto scales = recipeField<std::string>(recipe, "weights", "scales", "");
        if (scales == "mse") out += " (searched)";
        if (scales == "absmax") out += " (from the largest weight)";
    }
    const auto rounding = recipeField<std::string>(recipe, "rounding", "method", "");
    if (!rounding.empty()) out += ", rounded " + (rounding == "nearest" ? std::string("to nearest") : "by " + rounding);
    if (activations == 4)
        out += recipeField(recipe, "activations", "symmetric", false) ? ", symmetric activations"
                                                                      : ", asymmetric activations";
    return out;
}

std::vector<std::string> summarySentences(const Report& report) {
    const Means means(report);
    std::vector<std::string> out, worse;
    size_t helped = 0, changed = 0;
    for (const SiteReport& site : report.sites) {
        changed += hasTransform(site) ? 1 : 0;
        helped += site.after.measured > site.before.measured ? 1 : 0;
        if (site.after.measured < site.before.measured) worse.push_back(site.site);
    }
    if (changed == 0 && helped == 0 && worse.empty()) {
        out.push_back("No site has a transform: before and after are the same, and the mean measured SQNR is " +
                      decibelText(means.after.measured) + " dB.");
        return out;
    }
    out.push_back("Measured SQNR rose at " + std::to_string(helped) + " of " + std::to_string(report.sites.size()) +
                  " sites, on average " + fromTo(means.before.measured, means.after.measured) + " (" +
                  gain(means.after.measured - means.before.measured) + " dB).");
    out.push_back("Of the mean gain, concentration of the inputs changed by " +
                  gain(means.after.concentrationX - means.before.concentrationX) +
                  " dB, concentration of the weights by " +
                  gain(means.after.concentrationW - means.before.concentrationW) + " dB, alignment by " +
                  gain(means.after.alignment - means.before.alignment) + " dB.");
    for (const std::string& sentence : wayThere(report)) out.push_back(sentence);
    if (!worse.empty()) out.push_back("It did not help, and measured SQNR fell, at: " + namesListed(worse) + ".");
    const auto weakest =
        std::min_element(report.sites.begin(), report.sites.end(),
                         [](const SiteReport& a, const SiteReport& b) { return a.after.measured < b.after.measured; });
    out.push_back("The weakest site is now " + weakest->site + " at " + decibelText(weakest->after.measured) + " dB.");
    return out;
}

std::vector<std::string> agreementSentences(const Report& report) {
    size_t near = 0, count = 0;
    double worst = 0, sum = 0;
    std::string where;
    for (const SiteReport& site : report.sites)
        for (const SiteQuality* q : {&site.before, &site.after}) {
            const double difference = q->measured - q->predicted;
            near += std::fabs(difference) <= kSurprising ? 1 : 0;
            sum += difference;
            ++count;
            if (std::fabs(difference) < std::fabs(worst)) continue;
            worst = difference;
            where = site.site + (q == &site.before ? " before" : " after");
        }
    return {"Each site gives two points, before and after; on the line the prediction is exact.",
            std::to_string(near) + " of " + std::to_string(count) + " predictions are within " +
                figure(kSurprising, 0) + " dB of the measurement; the mean difference is " +
                gain(sum / static_cast<double>(count), 2) + " dB.",
            "The largest is " + gain(worst) + " dB, at " + where + ".",
            "The formula knows no clipping and no errors that cancel in the output. Weights rounded with their errors "
            "passed on, as GPTQ does, measure better than it promises; clipped scales can go either way."};
}

std::string siteFacts(const SiteReport& site) {
    std::string out = std::to_string(site.inputs) + " inputs, " + std::to_string(site.outputs) + " outputs";
    if (site.block > 0) out += ", blocks of " + std::to_string(site.block);
    if (site.mixOrder > 1) out += ", mix of order " + std::to_string(site.mixOrder);
    out += "; W" + std::to_string(site.weightBits) + "A" + std::to_string(site.activationBits) + ", " + site.rounding;
    if (site.bitsPerWeight > 0) out += ", " + figure(site.bitsPerWeight, 2) + " bits a weight on disk";
    return out;
}

std::vector<std::string> siteSentences(const SiteReport& site) {
    std::vector<std::string> out;
    const bool said = std::any_of(site.notes.begin(), site.notes.end(), [](const std::string& note) {
        return note.find("did not help") != std::string::npos;
    });
    const auto fell = [&](double SiteQuality::*member) {
        return site.after.*member < site.before.*member - kNoticeable;
    };
    if (fell(&SiteQuality::measured) && !said)
        out.push_back("Did not help here: measured SQNR fell " + fromTo(site.before.measured, site.after.measured) +
                      ".");
    for (const std::string& sentence : stepSentences(site)) out.push_back(sentence);
    if (site.limitBits)
        out.push_back(figure(site.bitsPerWeight, 2) + " bits a weight on disk, where " + figure(*site.limitBits, 2) +
                      " is the limit for this error: " + figure(site.bitsPerWeight - *site.limitBits, 2) +
                      " above it, side information included.");
    if (fell(&SiteQuality::alignment))
        out.push_back("Alignment fell " + fromTo(site.before.alignment, site.after.alignment) + ".");
    if (fell(&SiteQuality::concentrationX))
        out.push_back("The inputs are less concentrated than before, by " +
                      figure(site.before.concentrationX - site.after.concentrationX) + " dB.");
    if (fell(&SiteQuality::concentrationW))
        out.push_back("The weights are less concentrated than before, by " +
                      figure(site.before.concentrationW - site.after.concentrationW) + " dB.");
    if (!site.massBefore.empty()) out.push_back(permutationSentence(site));
    out.insert(out.end(), site.notes.begin(), site.notes.end());
    return out;
}

}  // namespace vulcat::calibrate
