#pragma once
// Calibrating from a file of statistics (calibrate/statistics_file.h) in place of texts.

#include "calibrate/observe.h"
#include "calibrate/statistics_file.h"

namespace vulcat::calibrate {

class StatisticsSource {
  public:
    /// Opens the file and checks that it is complete and belongs to the model. Errors: InvalidArgument where it does
    /// not, InvalidFile.
    StatisticsSource(const std::filesystem::path& file, const format::ModelConfig& config,
                     const format::TensorStore& model);

    const StatisticsHeader& header() const { return file_.header(); }
    /// What passed the sites of a layer, by SiteKind, or the head alone where index is their number; moments are whole.
    std::vector<SiteInputs> layer(int index) const;
    /// Changes with every byte of the file.
    std::string digest() const;

  private:
    const format::ModelConfig& config_;
    StatisticsFile file_;
};

/// T Sigma T^T: the inputs behind a transform as the float model shows them. (How the model quantised so far differs
/// from it, a file of statistics cannot know: that depends on the recipe.)
InputMoments floatMoments(const SecondMoments& moments, const std::optional<format::Transform>& transform, int threads);

}  // namespace vulcat::calibrate
