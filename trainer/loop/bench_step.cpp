#include "trainer/loop/bench_step.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "layers/tensor/random.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/memory.h"
#include "trainer/loop/session.h"
#include "trainer/optim/clip.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int warm_up_steps = 3;
constexpr int windows = 7;
constexpr double window_seconds = 1;

LoadedBatch random_batch(const Config& config, const InputFacts& input, const ShardLayout& layout) {
  LoadedBatch batch;
  batch.lay_out(0, layout, config.batch.global, input.shape.elements());
  const Random random(config.seed, "bench");
  const auto& shards = batch.input().shards;
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    for (std::int64_t sample = 0; sample < shards[shard].samples; ++sample) {
      const auto position = static_cast<std::uint64_t>(shards[shard].first_sample + sample);
      std::uint64_t element = 0;
      for (float& value : batch.image(shard, sample)) {
        value = 2 * Random::uniform(random.bits(position, element++)[0]) - 1;
      }
      batch.label(shard, sample) = static_cast<std::int32_t>(
          random.below(static_cast<std::uint64_t>(input.classes), position, element));
    }
  }
  return batch;
}

}  // namespace

double seconds_together(Communicator& comm, const std::function<void()>& work) {
  comm.barrier(Lane::statistics, "window").wait();
  const auto start = Clock::now();
  work();
  comm.barrier(Lane::statistics, "window").wait();
  const std::chrono::nanoseconds taken = Clock::now() - start;
  return static_cast<double>(largest(comm, "window", taken.count())) * 1e-9;
}

BenchedStep::BenchedStep(Communicator& comm, const Config& config, const InputFacts& input)
    : comm_(comm), clipping_(config.optimizer) {
  require_equal_hosts(comm);
  const MemoryLimit limit = memory_limit(config.plan.memory_mib, available_memory(), workers_on_host(comm));
  agree(comm, "model", [&] {
    require_precision(config.precision);
    model_.emplace(model_options(config, input), comm.size(), comm.rank());
    check_variance(config, *model_, config.batch.global, {.per_epoch = 1, .total = 1});
    Workload work = workload(config);
    work.evaluation = config.batch.global;
    check_memory(model_->memory_bytes(work), limit);
    model_->initialize();
    optimizer_ = make_optimizer(config, *model_);
  });
  reducer_.emplace(comm, model_->layout(), model_->gradient_tensors(), reduction_options(comm, config));
  batch_ = random_batch(config, input, model_->layout());
}

double BenchedStep::seconds(std::int64_t steps) {
  return seconds_together(comm_, [&] {
    for (const std::int64_t end = step_ + steps; step_ < end; ++step_) {
      model_->train_step(comm_, *reducer_, batch_.input(), step_);
      clip_gradients(clipping_, model_->gradients());
      optimizer_->update(model_->arena(), model_->gradients(), 0, step_);
    }
  });
}

std::int64_t BenchedStep::steps_in(double wanted) {
  seconds(warm_up_steps);
  const double a_step = seconds(warm_up_steps) / warm_up_steps;
  return std::max<std::int64_t>(std::llround(wanted / a_step), 1);
}

StepSpeed measure_steps(Communicator& comm, const Config& config, const InputFacts& input) {
  BenchedStep step(comm, config, input);
  StepSpeed speed;
  speed.steps_per_window = step.steps_in(window_seconds);
  for (int window = 0; window < windows; ++window) {
    const double taken = step.seconds(speed.steps_per_window);
    speed.images_per_s.push_back(static_cast<double>(speed.steps_per_window * config.batch.global) / taken);
  }
  return speed;
}

}  // namespace lockstep
