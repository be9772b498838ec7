// Numeric gradients through a whole model: batch_norm across shards and workers, residual blocks, dropout,
// loss.
#include <gtest/gtest.h>

#include <cmath>

#include "comm/single/single.h"
#include "tests/unit/custom/cubic.h"
#include "tests/unit/model/steps.h"

namespace lockstep::testing {
namespace {

double mean_loss(Model& model, Communicator& comm, GradientReducer& reducer, const BatchInput& batch) {
  return model.train_step(comm, reducer, batch, 0).loss / static_cast<double>(batch.global);
}

// Compares d loss / d parameter with central differences along random directions, one for each parameter
// tensor: a sum over the tensor, so that fp32 noise and single ReLUs that flip weigh little.
void check_gradients(const ModelOptions& options, double tolerance, bool frozen = false) {
  const auto comm = make_single();
  Model model(options, 1, 0);
  model.initialize();
  GradientReducer reducer(*comm, model.layout(), model.gradient_tensors(), {});
  const RandomBatch batch(model.layout(), options.input, options.classes, 13);
  model.train_step(*comm, reducer, batch.input(), 0);
  if (frozen) {
    model.freeze_statistics();
    model.train_step(*comm, reducer, batch.input(), 0);
  }
  const std::vector<float> gradients(model.gradients().begin(), model.gradients().end());
  const std::vector<float> start(model.arena().begin(), model.arena().end());

  for (const Parameter& parameter : model.parameters()) {
    const Random random(5, "direction", parameter.name);
    const std::size_t count = parameter.count();
    std::vector<float> direction(count);
    double squares = 0;
    for (std::size_t i = 0; i < count; ++i) {
      // Leans on the gradient, so that the derivative is not a difference of nearly equal parts.
      direction[i] =
          (gradients[parameter.offset + i] > 0 ? 1.0F : -1.0F) * (0.5F + Random::uniform(random.bits(i)[0]));
      squares += static_cast<double>(direction[i]) * static_cast<double>(direction[i]);
    }
    double expected = 0;
    for (std::size_t i = 0; i < count; ++i) {
      direction[i] /= static_cast<float>(std::sqrt(squares));
      expected += static_cast<double>(direction[i]) * static_cast<double>(gradients[parameter.offset + i]);
    }
    const float h = 5e-4F;
    const auto loss_at = [&](float offset) {
      std::copy(start.begin(), start.end(), model.arena().begin());
      for (std::size_t i = 0; i < count; ++i) model.arena()[parameter.offset + i] += offset * direction[i];
      return mean_loss(model, *comm, reducer, batch.input());
    };
    const double numeric = (loss_at(h) - loss_at(-h)) / (2.0 * static_cast<double>(h));
    EXPECT_NEAR(numeric, expected, tolerance * expected + 1e-3) << parameter.name;
  }
}

TEST(Gradients, MatchDifferencesWithGlobalStatistics) {
  check_gradients(small_resnet(), 0.02);
}

TEST(Gradients, MatchDifferencesWithLocalStatistics) {
  ModelOptions options = small_resnet();
  options.statistics_group = 1;
  options.shards = 2;
  check_gradients(options, 0.02);
}

TEST(Gradients, MatchDifferencesWithStatisticsOfThreeShards) {
  ModelOptions options = small_resnet();
  options.statistics_group = 3;
  check_gradients(options, 0.02);
}

TEST(Gradients, MatchDifferencesWithFrozenStatistics) {
  for (const std::int64_t group : {8, 1}) {  // the norms' own exchange, and buckets
    ModelOptions options = small_resnet();
    options.statistics_group = group;
    options.running_statistics = {{.name = "ema:1", .momentum = 1}};
    check_gradients(options, 0.02, true);
  }
}

TEST(Gradients, MatchDifferencesForAnMlpWithLabelSmoothing) {
  ModelOptions options = small_resnet();
  options.spec = {.name = "mlp", .layers = {}, .hidden = {8, 5}};
  options.label_smoothing = 0.1;
  check_gradients(options, 0.02);
}

TEST(Gradients, MatchDifferencesForEachParameterOfACustomLayer) {
  const auto type = std::make_shared<const CustomLayer>(cubic());
  ModelOptions options = small_resnet();
  options.spec.layers = {{"first", default_spec(type)}, {"conv", Conv2dSpec{.out = 4}},
                         {"bn", BatchNormSpec{}},       {"second", default_spec(type)},
                         {"pool", GlobalAvgPoolSpec{}}, {"fc", LinearSpec{.out = 3}}};
  check_gradients(options, 0.02);
}

}  // namespace
}  // namespace lockstep::testing
