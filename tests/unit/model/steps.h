#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "comm/threads/threads.h"
#include "layers/model/model.h"
#include "layers/ops/device.h"
#include "layers/tensor/buffer.h"
#include "layers/tensor/random.h"

// Runs steps of a model on thread workers, with data that every worker can make for itself.
namespace lockstep::testing {

// A global batch as one piece: images NHWC, sample after sample.
struct Data {
  std::vector<float> images;
  std::vector<std::int32_t> labels;
  std::int64_t samples() const { return static_cast<std::int64_t>(labels.size()); }
};

inline Data random_data(const SampleShape& shape, std::int64_t classes, std::int64_t samples,
                        std::uint64_t seed = 7) {
  const Random pixels(seed, "pixels");
  Data data{.images = std::vector<float>(static_cast<std::size_t>(samples * shape.elements())), .labels = {}};
  for (std::size_t i = 0; i < data.images.size(); ++i) {
    data.images[i] = 4.0F * Random::uniform(pixels.bits(i)[0]) - 1.5F;
  }
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    data.labels.push_back(static_cast<std::int32_t>((sample * 7 + 3) % classes));
  }
  return data;
}

// A worker's part of a global batch.
class WorkerBatch {
 public:
  WorkerBatch(const ShardLayout& layout, const SampleShape& shape, const Data& data) : labels_(data.labels) {
    input_.global = data.samples();
    for (std::int64_t shard = layout.block().begin; shard < layout.block().end; ++shard) {
      const Range samples = layout.samples(input_.global, shard);
      const auto count = static_cast<std::size_t>(samples.size() * shape.elements());
      images_.emplace_back(count * sizeof(float));
      std::copy_n(data.images.begin() + samples.begin * shape.elements(), count,
                  images_.back().as<float>().begin());
      const std::span labels(labels_);
      input_.shards.push_back({.images = images_.back().as<float>().data(),
                               .labels = labels.subspan(static_cast<std::size_t>(samples.begin),
                                                        static_cast<std::size_t>(samples.size())),
                               .first_sample = samples.begin,
                               .samples = samples.size()});
    }
  }
  const BatchInput& input() const { return input_; }

 private:
  std::vector<std::int32_t> labels_;
  std::vector<Buffer> images_;
  BatchInput input_;
};

struct RandomBatch : WorkerBatch {
  RandomBatch(const ShardLayout& layout, const SampleShape& shape, std::int64_t classes, std::int64_t global,
              std::uint64_t seed = 7)
      : WorkerBatch(layout, shape, random_data(shape, classes, global, seed)) {}
};

// What a run ends with, as bytes: two are equal only if every bit is.
struct Outcome {
  double loss = 0;  // of the last step
  std::map<std::string, std::vector<std::byte>> gradients, state;
  std::string diverged;  // what the DivergedError said that ended it
  bool operator==(const Outcome&) const = default;
};

struct Steps {
  int workers = 1;
  std::vector<std::int64_t> batches{13};  // samples of each step
  std::size_t bucket_bytes = 4096;
  std::size_t small_bytes = 256;
  bool overlap = true;
  std::int64_t freeze_after = -1;  // steps; -1: never
  bool may_diverge = false;
  // Changes the initial weights.
  std::function<void(Model&)> prepare = [](Model&) {};
  // Calls the worker with what carries its messages: the threads' communicator, or another made from it.
  std::function<void(Communicator&, const std::function<void(Communicator&)>& worker)> over =
      [](Communicator& comm, const auto& worker) { worker(comm); };
  // Looks at a worker before each step and after the last.
  std::function<void(Communicator&, Model&)> watch = [](Communicator&, Model&) {};
};

inline constexpr float learning_rate = 0.05F;

// Trains with plain gradient descent, a step for each batch; one outcome a worker.
inline std::vector<Outcome> run_steps(const ModelOptions& options, const Steps& steps,
                                      const std::vector<Data>& batches) {
  std::vector<Outcome> outcomes(static_cast<std::size_t>(steps.workers));
  const auto worker = [&](Communicator& comm) {
    Model model(options, comm.size(), comm.rank());
    model.initialize();
    steps.prepare(model);
    GradientReducer reducer(comm, model.layout(), model.gradient_tensors(),
                            {.bucket_bytes = steps.bucket_bytes,
                             .small_bytes = steps.small_bytes,
                             .overlap = steps.overlap,
                             .memory = &model.device()});
    Outcome& outcome = outcomes[static_cast<std::size_t>(comm.rank())];
    try {
      std::int64_t step = 0;
      for (const Data& data : batches) {
        steps.watch(comm, model);
        if (step == steps.freeze_after) model.freeze_statistics();
        const WorkerBatch batch(model.layout(), options.input, data);
        outcome.loss = model.train_step(comm, reducer, batch.input(), step).loss;
        for (std::size_t i = 0; i < model.arena().size(); ++i) {
          model.arena()[i] -= learning_rate * model.gradients()[i];
        }
        ++step;
      }
      steps.watch(comm, model);
    } catch (const DivergedError& error) {
      if (!steps.may_diverge) throw;
      outcome.diverged = error.what();
    }
    for (const Parameter& parameter : model.parameters()) {
      const auto bytes = std::as_bytes(model.gradients().subspan(parameter.offset, parameter.count()));
      outcome.gradients[parameter.name].assign(bytes.begin(), bytes.end());
    }
    for (const ModelTensor& tensor : model.state()) {
      outcome.state[tensor.name].assign(tensor.bytes.begin(), tensor.bytes.end());
    }
  };
  run_threads(steps.workers, [&](Communicator& comm) { steps.over(comm, worker); });
  return outcomes;
}

// The same on random data.
inline std::vector<Outcome> run_steps(const ModelOptions& options, const Steps& steps) {
  std::vector<Data> batches;
  for (const std::int64_t samples : steps.batches) {
    batches.push_back(random_data(options.input, options.classes, samples, batches.size()));
  }
  return run_steps(options, steps, batches);
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
