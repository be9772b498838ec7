#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/model/reference_network.h"
#include "tests/unit/model/steps.h"

// How a row of the contract in layers/README.md is tested: with 1, 2, 3 and 4 workers, which come to the same
// bits, against the reference network.
namespace lockstep::testing {

inline ModelOptions contract_network() {
  ModelOptions options;
  options.input = {.height = 2, .width = 3, .channels = 3};
  options.classes = 3;
  options.shards = 8;
  options.statistics_group = 8;
  options.spec.name = "";
  options.spec.layers = {{"conv", Conv2dSpec{.out = 4, .kernel = 1, .bias = true}},
                         {"bn", BatchNormSpec{}},
                         {"flatten", FlattenSpec{}},
                         {"fc", LinearSpec{.out = 3}}};
  return options;
}

inline ModelOptions contract_network(std::int64_t shards, std::int64_t statistics_group) {
  ModelOptions options = contract_network();
  options.shards = shards;
  options.statistics_group = statistics_group;
  return options;
}

// Shards that share statistics: all eight, three, one.
inline const std::vector<std::int64_t> contract_groups{8, 3, 1};

inline Data contract_data(std::int64_t samples, std::uint64_t seed = 7) {
  const ModelOptions options = contract_network();
  return random_data(options.input, options.classes, samples, seed);
}

// A tensor of fp32 by name; empty where there is none.
inline std::span<float> values_of(Model& model, const std::string& name) {
  for (const ModelTensor& tensor : model.state()) {
    if (tensor.name != name) continue;
    return {reinterpret_cast<float*>(tensor.bytes.data()), tensor.bytes.size() / sizeof(float)};
  }
  return {};
}

// Away from gamma 1 and beta 0, so that neither can be missing unnoticed.
inline void spread_affine(Model& model) {
  float next = 0.6F;
  for (float& value : values_of(model, "bn.weight")) value = next += 0.15F;
  for (float& value : values_of(model, "bn.bias")) value = next -= 0.4F;
}

inline std::vector<double> numbers_of(const std::string& name, std::span<const std::byte> bytes) {
  if (name.ends_with(".num_batches_tracked")) {
    std::int64_t count = 0;
    std::memcpy(&count, bytes.data(), sizeof count);
    return {static_cast<double>(count)};
  }
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), bytes.size());
  return {floats.begin(), floats.end()};
}

inline Tensors numbers_of(const std::map<std::string, std::vector<std::byte>>& tensors) {
  Tensors numbers;
  for (const auto& [name, bytes] : tensors) numbers[name] = numbers_of(name, bytes);
  return numbers;
}

struct Trained {
  Outcome outcome;
  double evaluation = 0;  // the loss of the last batch in inference, with what was learned
  bool operator==(const Trained&) const = default;
};

using Prepare = std::function<void(Model&)>;

// What all workers of 1, 2, 3 and 4 come to.
inline Trained train_on_all(const ModelOptions& options, const std::vector<Data>& batches,
                            const Prepare& prepare = spread_affine) {
  std::vector<Trained> all;
  for (int workers = 1; workers <= std::min<std::int64_t>(4, options.shards); ++workers) {
    std::vector<double> evaluations(static_cast<std::size_t>(workers));
    const auto evaluate = [&](Communicator& comm, Model& model) {
      const WorkerBatch batch(model.layout(), options.input, batches.back());
      evaluations[static_cast<std::size_t>(comm.rank())] = model.evaluate(comm, batch.input()).loss;
    };
    const Steps steps{.workers = workers, .prepare = prepare, .watch = evaluate};
    const std::vector<Outcome> outcomes = run_steps(options, steps, batches);
    for (std::size_t rank = 0; rank < outcomes.size(); ++rank) {
      all.push_back({outcomes[rank], evaluations[rank]});
      EXPECT_TRUE(all.back() == all.front()) << "rank " << rank << " of " << workers;
    }
  }
  return all.front();
}

// What ends a run that diverges, the same on every worker of 1, 2, 3 and 4.
inline std::string what_diverged(const ModelOptions& options, const std::vector<Data>& batches,
                                 const Prepare& prepare = spread_affine) {
  std::set<std::string> messages;
  for (int workers = 1; workers <= 4; ++workers) {
    const Steps steps{.workers = workers, .may_diverge = true, .prepare = prepare};
    for (const Outcome& outcome : run_steps(options, steps, batches)) messages.insert(outcome.diverged);
  }
  EXPECT_EQ(messages.size(), 1);
  return *messages.begin();
}

inline void expect_near(const Tensors& got, const Tensors& right) {
  ASSERT_EQ(got.size(), right.size());
  for (const auto& [name, values] : right) {
    ASSERT_TRUE(got.contains(name)) << name;
    ASSERT_EQ(got.at(name).size(), values.size()) << name;
    double largest = 0;
    for (const double value : values) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_NEAR(got.at(name)[i], values[i], 1e-5 * largest + 5e-6) << name << "[" << i << "]";
    }
  }
}

// Trains, and expects what the reference comes to: the last step's loss and gradients, parameters, running
// statistics, and inference with them.
inline Trained expect_reference(const ModelOptions& options, const std::vector<Data>& batches,
                                const Prepare& prepare = spread_affine) {
  Model start(options, 1, 0);
  start.initialize();
  prepare(start);
  Tensors tensors;
  for (const ModelTensor& tensor : start.state())
    tensors[tensor.name] = numbers_of(tensor.name, tensor.bytes);
  ReferenceNetwork reference(options, tensors);
  ReferenceNetwork::Step step;
  for (const Data& batch : batches) {
    step = reference.step(batch, groups_of(batch.samples(), options.shards, options.statistics_group));
    reference.descend(step.gradients, learning_rate);
  }

  Trained trained = train_on_all(options, batches, prepare);
  EXPECT_NEAR(trained.outcome.loss, step.loss, 1e-5 * step.loss);
  const double evaluation = reference.evaluate(batches.back());
  EXPECT_NEAR(trained.evaluation, evaluation, 1e-5 * evaluation);
  expect_near(numbers_of(trained.outcome.gradients), step.gradients);
  expect_near(numbers_of(trained.outcome.state), reference.tensors());
  return trained;
}

}  // namespace lockstep::testing
