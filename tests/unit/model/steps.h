#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "comm/threads/threads.h"
#include "layers/model/model.h"
#include "layers/tensor/buffer.h"
#include "layers/tensor/random.h"

// Runs steps of a model on thread workers, with data that every worker can make for itself.
namespace lockstep::testing {

// A worker's part of a global batch of random images.
class RandomBatch {
 public:
  RandomBatch(const ShardLayout& layout, const SampleShape& shape, std::int64_t classes, std::int64_t global,
              std::uint64_t seed = 7) {
    const Random pixels(seed, "pixels");
    input_.global = global;
    const Range block = layout.block();
    images_.reserve(static_cast<std::size_t>(block.size()));
    labels_.reserve(static_cast<std::size_t>(block.size()));
    for (std::int64_t shard = block.begin; shard < block.end; ++shard) {
      const Range samples = layout.samples(global, shard);
      const auto count = static_cast<std::size_t>(samples.size() * shape.elements());
      images_.emplace_back(count * sizeof(float));
      labels_.emplace_back();
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t element = static_cast<std::uint64_t>(samples.begin * shape.elements()) + i;
        images_.back().as<float>()[i] = 4.0F * Random::uniform(pixels.bits(element)[0]) - 1.5F;
      }
      for (std::int64_t sample = samples.begin; sample < samples.end; ++sample) {
        labels_.back().push_back(static_cast<std::int32_t>((sample * 7 + 3) % classes));
      }
    }
    for (std::size_t i = 0; i < images_.size(); ++i) {
      const Range samples = layout.samples(global, block.begin + static_cast<std::int64_t>(i));
      input_.shards.push_back({.images = images_[i].as<float>().data(),
                               .labels = labels_[i],
                               .first_sample = samples.begin,
                               .samples = samples.size()});
    }
  }
  const BatchInput& input() const { return input_; }

 private:
  std::vector<Buffer> images_;
  std::vector<std::vector<std::int32_t>> labels_;
  BatchInput input_;
};

struct Outcome {
  double loss = 0;
  std::vector<float> gradients, parameters;
  std::vector<std::byte> state;
  bool operator==(const Outcome&) const = default;
};

struct Steps {
  int workers = 1;
  std::vector<std::int64_t> batches{13};  // samples of each step
  std::size_t bucket_bytes = 4096;
  std::size_t small_bytes = 256;
  bool overlap = true;
  std::int64_t freeze_after = -1;  // steps; -1: never
};

// Trains with plain gradient descent; one outcome a worker.
inline std::vector<Outcome> run_steps(const ModelOptions& options, const Steps& steps) {
  std::vector<Outcome> outcomes(static_cast<std::size_t>(steps.workers));
  run_threads(steps.workers, [&](Communicator& comm) {
    Model model(options, comm.size(), comm.rank());
    model.initialize();
    GradientReducer reducer(
        comm, model.layout(), model.gradient_tensors(),
        {.bucket_bytes = steps.bucket_bytes, .small_bytes = steps.small_bytes, .overlap = steps.overlap});
    Outcome& outcome = outcomes[static_cast<std::size_t>(comm.rank())];
    std::int64_t step = 0;
    for (const std::int64_t global : steps.batches) {
      if (step == steps.freeze_after) model.freeze_statistics();
      const RandomBatch batch(model.layout(), options.input, options.classes, global,
                              static_cast<std::uint64_t>(step));
      outcome.loss = model.train_step(comm, reducer, batch.input(), step).loss;
      for (std::size_t i = 0; i < model.arena().size(); ++i) model.arena()[i] -= 0.05F * model.gradients()[i];
      ++step;
    }
    outcome.gradients.assign(model.gradients().begin(), model.gradients().end());
    outcome.parameters.assign(model.arena().begin(), model.arena().end());
    for (const ModelTensor& tensor : model.state()) {
      outcome.state.insert(outcome.state.end(), tensor.bytes.begin(), tensor.bytes.end());
    }
  });
  return outcomes;
}

// A small network with everything that crosses shards, splits and joins.
inline ModelOptions small_resnet() {
  ModelOptions options;
  options.input = {.height = 6, .width = 6, .channels = 2};
  options.classes = 3;
  options.shards = 8;
  options.statistics_group = 8;
  options.spec.name = "";
  options.spec.layers = {
      {"conv1", Conv2dSpec{.out = 4, .kernel = 3, .padding = 1}},
      {"bn1", BatchNormSpec{}},
      {"relu1", ReluSpec{}},
      {"layer1", ResidualSpec{.body = {{"conv1", Conv2dSpec{.out = 4, .kernel = 3, .padding = 1}},
                                       {"bn1", BatchNormSpec{}},
                                       {"relu", ReluSpec{}},
                                       {"conv2", Conv2dSpec{.out = 4, .kernel = 3, .padding = 1}},
                                       {"bn2", BatchNormSpec{}}},
                              .shortcut = {}}},
      {"relu2", ReluSpec{}},
      {"layer2",
       ResidualSpec{
           .body = {{"conv1", Conv2dSpec{.out = 6, .kernel = 3, .stride = 2, .padding = 1}},
                    {"bn1", BatchNormSpec{}},
                    {"relu", ReluSpec{}},
                    {"conv2", Conv2dSpec{.out = 6, .kernel = 3, .padding = 1, .bias = true}},
                    {"bn2", BatchNormSpec{}}},
           .shortcut = {{"0", Conv2dSpec{.out = 6, .kernel = 1, .stride = 2}}, {"1", BatchNormSpec{}}}}},
      {"relu3", ReluSpec{}},
      {"pool", GlobalAvgPoolSpec{}},
      {"dropout", DropoutSpec{.probability = 0.25}},
      {"fc", LinearSpec{.out = 3}},
  };
  return options;
}

}  // namespace lockstep::testing
