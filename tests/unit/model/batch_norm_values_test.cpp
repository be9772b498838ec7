// The contract of batch_norm at its edges, as layers/README.md has it: what is in a batch, and what is done
// with the statistics. How a batch is cut: batch_norm_edges_test.cpp.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/model/contract.h"

namespace lockstep::testing {
namespace {

// Leaves channel `channel` of the convolution's output constant.
Prepare constant_channel(std::size_t channel, float value) {
  return [=](Model& model) {
    spread_affine(model);
    const std::span<float> weight = values_of(model, "conv.weight");
    std::ranges::fill(weight.subspan(channel * 3, 3), 0.0F);
    values_of(model, "conv.bias")[channel] = value;
  };
}

TEST(BatchNormContract, AConstantChannelIsBetaAndItsVarianceIsZero) {
  for (const std::int64_t group : contract_groups) {
    for (const float value : {0.0F, 0.1F, -1234.567F}) {
      SCOPED_TRACE(std::to_string(group) + " shards, value " + std::to_string(value));
      const Trained trained =
          expect_reference(contract_network(8, group), {contract_data(21)}, constant_channel(1, value));
      EXPECT_EQ(numbers_of(trained.outcome.gradients).at("bn.weight")[1], 0.0);  // x̂ is 0, not nearly
      EXPECT_EQ(numbers_of(trained.outcome.state).at("bn.running_var")[1], static_cast<double>(0.9F));
    }
  }
}

TEST(BatchNormContract, AChannelThatIsConstantInOneGroupAloneIsBetaThere) {
  Data data = contract_data(21);
  std::fill_n(data.images.begin(), 3 * 18, 0.25F);  // the first shard's samples
  for (const std::int64_t group : contract_groups) {
    SCOPED_TRACE(group);
    expect_reference(contract_network(8, group), {data});
  }
}

TEST(BatchNormContract, NaNOrInfinityInTheInputEndsTheStepOnAllWorkersAlike) {
  for (const std::int64_t group : contract_groups) {
    for (const std::size_t value : {std::size_t{0}, std::size_t{7 * 18 + 5}, std::size_t{13 * 18 - 1}}) {
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        Data data = contract_data(13);
        data.images[value] = bad;
        EXPECT_EQ(what_diverged(contract_network(8, group), {contract_data(16), data}),
                  "step 2: the output of layer 'conv' is not finite, the first such layer")
            << bad << " at " << value << ", " << group << " shards";
      }
    }
  }
}

// Finite in fp64, but not in what running statistics are kept in.
TEST(BatchNormContract, AVarianceBeyondFp32EndsTheStepToo) {
  Data data = contract_data(13);
  for (float& value : data.images) value *= 1e20F;
  for (const std::int64_t group : contract_groups) {
    EXPECT_EQ(what_diverged(contract_network(8, group), {data}),
              "step 1: the batch statistics of layer 'bn' are not finite");
  }
}

TEST(BatchNormContract, WhatIsNotFiniteNamesTheFirstLayerThatSeesIt) {
  for (const std::int64_t group : contract_groups) {
    ModelOptions options = small_resnet();
    options.statistics_group = group;
    const auto spoil = [](Model& model) { values_of(model, "layer1.conv2.weight")[3] = NAN; };
    EXPECT_EQ(what_diverged(options, {random_data(options.input, options.classes, 13)}, spoil),
              "step 1: the output of layer 'layer1.conv2' is not finite, the first such layer");
  }
}

TEST(BatchNormContract, AStepThatIsNotFiniteMovesNoWeight) {
  Data data = contract_data(13);
  data.images[0] = NAN;
  const ModelOptions options = contract_network();
  Model start(options, 1, 0);
  start.initialize();
  spread_affine(start);
  for (int workers = 1; workers <= 4; ++workers) {
    const Steps steps{.workers = workers, .may_diverge = true, .prepare = spread_affine};
    for (const Outcome& outcome : run_steps(options, steps, {data})) {
      EXPECT_NE(outcome.diverged, "");
      for (const Parameter& parameter : start.parameters()) {
        EXPECT_EQ(numbers_of(outcome.state).at(parameter.name),
                  numbers_of(parameter.name, std::as_bytes(values_of(start, parameter.name))));
      }
    }
  }
}

// Evaluates in every way, batches longer and shorter than those of training, with empty shards among them.
void evaluate_all(Communicator& comm, Model& model) {
  const ModelOptions& options = model.options();
  for (const std::int64_t samples : {29, 3}) {
    const WorkerBatch batch(model.layout(), options.input,
                            random_data(options.input, options.classes, samples, 5));
    for (std::size_t entry = 0; entry < options.running_statistics.size(); ++entry) {
      model.evaluate(comm, batch.input(), entry);
    }
    model.evaluate_by_batch(comm, batch.input());
    if (batch.input().shards[0].samples == 0) continue;
    std::vector<float> logits(static_cast<std::size_t>(batch.input().shards[0].samples * options.classes));
    model.predict(batch.input().shards[0], 0, logits);
  }
}

TEST(BatchNormContract, EvaluationBetweenStepsChangesNoBitOfTraining) {
  for (const std::int64_t group : contract_groups) {
    ModelOptions options = small_resnet();
    options.statistics_group = group;
    options.running_statistics = {{}, {.name = "cumulative", .kind = RunningStatistics::Kind::cumulative}};
    const Steps undisturbed{.workers = 1, .batches = {16, 13, 5}};
    const Outcome expected = run_steps(options, undisturbed)[0];
    for (int workers = 1; workers <= 4; ++workers) {
      Steps disturbed = undisturbed;
      disturbed.workers = workers;
      disturbed.watch = evaluate_all;
      for (const Outcome& outcome : run_steps(options, disturbed)) {
        EXPECT_TRUE(outcome == expected) << group << " shards, " << workers << " workers";
      }
    }
  }
}

// A model that has its state from elsewhere evaluates to the same bits as the one that was trained.
TEST(BatchNormContract, EvaluationKnowsNothingOfTrainingButWeightsAndRunningStatistics) {
  const std::vector<Data> batches{contract_data(16, 1), contract_data(13, 2)};
  for (const std::int64_t group : contract_groups) {
    const ModelOptions options = contract_network(8, group);
    const Trained trained = train_on_all(options, batches);
    for (int workers = 1; workers <= 4; ++workers) {
      run_threads(workers, [&](Communicator& comm) {
        Model model(options, comm.size(), comm.rank());
        for (const ModelTensor& tensor : model.state()) {
          std::ranges::copy(trained.outcome.state.at(tensor.name), tensor.bytes.begin());
        }
        const WorkerBatch batch(model.layout(), options.input, batches.back());
        for (int again = 0; again < 2; ++again) {
          EXPECT_EQ(model.evaluate(comm, batch.input()).loss, trained.evaluation) << group << " shards";
        }
      });
    }
  }
}

TEST(BatchNormContract, WithoutAffineTheOutputIsTheNormalizedInput) {
  for (const std::int64_t group : contract_groups) {
    SCOPED_TRACE(group);
    ModelOptions options = contract_network(8, group);
    const Trained ones = train_on_all(options, {contract_data(13)}, [](Model&) {});
    options.spec.layers[1].layer = BatchNormSpec{.affine = false};
    expect_reference(options, {contract_data(13, 1), contract_data(16, 2)});

    // The same bits as gamma 1 and beta 0.
    const Trained none = train_on_all(options, {contract_data(13)});
    EXPECT_EQ(none.outcome.loss, ones.outcome.loss);
    EXPECT_EQ(none.outcome.gradients.size() + 2, ones.outcome.gradients.size());
    for (const auto& [name, gradient] : none.outcome.gradients) {
      EXPECT_TRUE(gradient == ones.outcome.gradients.at(name)) << name;
    }
  }
}

// Nothing flows back to the convolution in the first step.
void silence_head(Model& model) {
  std::ranges::fill(values_of(model, "fc.weight"), 0.0F);
}

ModelOptions with_momentum(std::int64_t group, double momentum) {
  ModelOptions options = contract_network(8, group);
  options.running_statistics = {{.momentum = momentum}};
  return options;
}

TEST(BatchNormContract, WithMomentumZeroRunningStatisticsStayAsTheyBegan) {
  for (const std::int64_t group : contract_groups) {
    SCOPED_TRACE(group);
    const Trained trained =
        expect_reference(with_momentum(group, 0), {contract_data(16, 1), contract_data(13, 2)});
    const Tensors state = numbers_of(trained.outcome.state);
    EXPECT_EQ(state.at("bn.running_mean"), std::vector<double>(4, 0.0));
    EXPECT_EQ(state.at("bn.running_var"), std::vector<double>(4, 1.0));
    EXPECT_EQ(state.at("bn.num_batches_tracked"), std::vector<double>{2.0});
  }
}

TEST(BatchNormContract, WithMomentumOneRunningStatisticsAreTheLastBatchs) {
  for (const std::int64_t group : contract_groups) {
    SCOPED_TRACE(group);
    expect_reference(with_momentum(group, 1), {contract_data(16, 1), contract_data(13, 2)});
    // What was before leaves not a bit behind: the weights are the same here, the history is not.
    const auto last = [&](const std::vector<Data>& batches) {
      return run_steps(with_momentum(group, 1), {.workers = 3, .prepare = silence_head}, batches)[0].state;
    };
    const auto after_two = last({contract_data(16, 1), contract_data(13, 2)});
    const auto after_one = last({contract_data(13, 2)});
    for (const std::string name : {"bn.running_mean", "bn.running_var"}) {
      EXPECT_TRUE(after_two.at(name) == after_one.at(name)) << name;
    }
  }
}

TEST(BatchNormContract, MomentumChangesNoBitOfTheWeights) {
  const std::vector<Data> batches{contract_data(16, 1), contract_data(13, 2), contract_data(5, 3)};
  for (const std::int64_t group : contract_groups) {
    const Trained expected = train_on_all(with_momentum(group, 0.1), batches);
    for (const double momentum : {0.0, 0.5, 1.0}) {
      const Trained trained = train_on_all(with_momentum(group, momentum), batches);
      EXPECT_TRUE(trained.outcome.gradients == expected.outcome.gradients) << momentum;
      EXPECT_NE(trained.evaluation, expected.evaluation) << momentum;
      for (const auto& [name, gradient] : expected.outcome.gradients) {
        EXPECT_TRUE(trained.outcome.state.at(name) == expected.outcome.state.at(name)) << name;
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::testing
