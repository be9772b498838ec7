// Statistics made anew from the weights (`precise`), and a forward pass with a batch's own.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "comm/base/error.h"
#include "comm/single/single.h"
#include "tests/unit/model/steps.h"

namespace lockstep::testing {
namespace {

const RunningStatistics precise{.name = "precise", .kind = RunningStatistics::Kind::precise};

std::vector<float> values(Model& model, const std::string& name) {
  for (const ModelTensor& tensor : model.state()) {
    if (tensor.name != name) continue;
    std::vector<float> values(tensor.bytes.size() / sizeof(float));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }
  return {};
}

std::vector<std::byte> bytes_of(Model& model) {
  std::vector<std::byte> bytes;
  for (const ModelTensor& tensor : model.state()) {
    bytes.insert(bytes.end(), tensor.bytes.begin(), tensor.bytes.end());
  }
  return bytes;
}

// Batches of so many samples, one after the other.
void make_precise(Model& model, Communicator& comm, const std::vector<std::int64_t>& batches) {
  std::vector<RandomBatch> made;
  made.reserve(batches.size());
  for (const std::int64_t samples : batches) {
    made.emplace_back(model.layout(), model.options().input, model.options().classes, samples, made.size());
  }
  std::size_t next = 0;
  model.make_precise(comm, [&] { return next == made.size() ? nullptr : &made[next++].input(); });
}

// Images → batch_norm → linear: its input is the data itself.
ModelOptions norm_first() {
  ModelOptions options;
  options.input = {.height = 2, .width = 3, .channels = 5};
  options.classes = 3;
  options.shards = 4;
  options.statistics_group = 4;
  options.running_statistics = {{}, precise};
  options.spec.name = "";
  options.spec.layers = {{"bn", BatchNormSpec{}}, {"flatten", FlattenSpec{}}, {"fc", LinearSpec{.out = 3}}};
  return options;
}

// Of every value of a channel in all the batches, in two fp64 passes.
struct Direct {
  double mean = 0, unbiased_variance = 0;
};
Direct direct(const ModelOptions& options, const std::vector<std::int64_t>& batches, std::size_t channel) {
  std::vector<double> all;
  for (std::size_t batch = 0; batch < batches.size(); ++batch) {
    const RandomBatch made(ShardLayout(1, 1, 0), options.input, options.classes, batches[batch], batch);
    for (std::int64_t row = 0; row < batches[batch] * options.input.pixels(); ++row) {
      all.push_back(static_cast<double>(
          made.input().shards[0].images[static_cast<std::size_t>(row * options.input.channels) + channel]));
    }
  }
  Direct result;
  for (const double value : all) result.mean += value / static_cast<double>(all.size());
  for (const double value : all) result.unbiased_variance += (value - result.mean) * (value - result.mean);
  result.unbiased_variance /= static_cast<double>(all.size() - 1);
  return result;
}

TEST(Precise, IsTheStatisticOfAllValuesOfAllBatchesWeightedByTrueCounts) {
  const std::vector<std::int64_t> batches{9, 2, 5};  // empty shards among them
  for (const std::int64_t group : {4, 3, 2}) {
    ModelOptions options = norm_first();
    options.statistics_group = group;
    for (const int workers : {1, 2, 3, 4}) {
      run_threads(workers, [&](Communicator& comm) {
        Model model(options, comm.size(), comm.rank());
        model.initialize();
        make_precise(model, comm, batches);
        for (std::size_t channel = 0; channel < 5; ++channel) {
          const Direct expected = direct(options, batches, channel);
          EXPECT_NEAR(values(model, "stats.precise.bn.running_mean")[channel], expected.mean, 1e-6);
          EXPECT_NEAR(values(model, "stats.precise.bn.running_var")[channel], expected.unbiased_variance,
                      1e-5);
          EXPECT_EQ(values(model, "bn.running_mean")[channel], 0.0F) << "ema takes no part";
        }
      });
    }
  }
}

TEST(Precise, IsTheSameOnAnyNumberOfWorkersAndWithoutDropout) {
  for (const std::int64_t group : {8, 1, 3}) {
    ModelOptions options = small_resnet();
    options.statistics_group = group;
    options.running_statistics = {precise};
    // Dropout before a batch_norm, where it would show.
    options.spec.layers.insert(options.spec.layers.begin() + 3, {"drop", DropoutSpec{.probability = 0.5}});
    std::vector<std::vector<std::byte>> states;
    for (const int workers : {1, 2, 3, 8}) {
      run_threads(workers, [&](Communicator& comm) {
        Model model(options, comm.size(), comm.rank());
        model.initialize();
        make_precise(model, comm, {11, 3});
        if (comm.rank() == workers - 1) states.push_back(bytes_of(model));
      });
    }
    options.spec.layers[3] = {"drop", DropoutSpec{.probability = 0}};
    Model without(options, 1, 0);
    without.initialize();
    const auto comm = make_single();
    make_precise(without, *comm, {11, 3});
    states.push_back(bytes_of(without));
    for (const auto& state : states) EXPECT_TRUE(state == states[0]) << "groups of " << group;
  }
}

TEST(Precise, IsLeftAloneByTraining) {
  ModelOptions options = norm_first();
  Model model(options, 1, 0);
  model.initialize();
  const auto comm = make_single();
  make_precise(model, *comm, {9});
  const auto before = values(model, "stats.precise.bn.running_var");
  GradientReducer reducer(*comm, model.layout(), model.gradient_tensors(), {});
  const RandomBatch batch(model.layout(), options.input, options.classes, 8, 5);
  model.train_step(*comm, reducer, batch.input(), 0);
  EXPECT_EQ(values(model, "stats.precise.bn.running_var"), before);
}

TEST(Precise, WhatIsNotFiniteIsToldWithItsLayer) {
  const ModelOptions options = norm_first();
  Model model(options, 1, 0);
  model.initialize();
  const auto comm = make_single();
  const RandomBatch batch(model.layout(), options.input, options.classes, 8);
  const_cast<float*>(batch.input().shards[0].images)[0] = INFINITY;
  bool given = false;
  try {
    model.make_precise(*comm, [&] { return std::exchange(given, true) ? nullptr : &batch.input(); });
    FAIL();
  } catch (const DivergedError& error) {
    EXPECT_STREQ(error.what(), "the precise statistics of layer 'bn' are not finite");
  }
}

TEST(EvaluationByBatch, NormalizesAsTrainingDoes) {
  for (const std::int64_t group : {8, 1, 3}) {
    ModelOptions options = small_resnet();
    options.statistics_group = group;
    std::erase_if(options.spec.layers, [](const LayerSpec& it) { return it.name == "dropout"; });
    for (const int workers : {1, 2, 3, 4}) {
      run_threads(workers, [&](Communicator& comm) {
        Model model(options, comm.size(), comm.rank());
        model.initialize();
        GradientReducer reducer(comm, model.layout(), model.gradient_tensors(), {});
        const RandomBatch batch(model.layout(), options.input, options.classes, 13);
        const auto before = bytes_of(model);
        const BatchSums here = model.evaluate_by_batch(comm, batch.input());
        EXPECT_TRUE(bytes_of(model) == before);
        const BatchSums in_training = model.train_step(comm, reducer, batch.input(), 0);
        EXPECT_EQ(here.loss, in_training.loss);
        EXPECT_EQ(here.correct, in_training.correct);
      });
    }
  }
}

}  // namespace
}  // namespace lockstep::testing
