#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "comm/communicator.h"
#include "comm/gradients/reducer.h"
#include "layers/model/model.h"
#include "trainer/config/schema.h"
#include "trainer/data/loader.h"
#include "trainer/loop/setup.h"
#include "trainer/optim/optimizer.h"

namespace lockstep {

// What is measured, or compared in turn, is so in as many windows, of which the median counts.
inline constexpr int bench_windows = 7;

// Seconds that `work` takes on the slowest worker, from barrier to barrier. Collective; the same everywhere.
double seconds_together(Communicator& comm, const std::function<void()>& work);

// The training set of a configuration, and how its images become a network's input.
struct TrainingData {
  std::shared_ptr<const Dataset> dataset;
  Transform transform;
};
// Collective; throws the same error on all workers.
TrainingData open_training_data(Communicator& comm, const Config& config);

// Training steps to be measured: forward, backward, exchange and update with learning rate 0, so that every
// step does the same work. Of one prepared batch of random images, used again and again; or, given
// `training`, of the batches that training would see, read and augmented meanwhile.
class BenchedStep {
 public:
  // Collective. Checks hosts, variances and memory as training does, and throws UsageError alike on all
  // workers, also where the library has its reference code alone for a layer.
  BenchedStep(Communicator& comm, const Config& config, const InputFacts& input,
              const TrainingData* training = nullptr);

  // Whether the model has a batch_norm.
  bool normalizes() { return model_->normalizes(); }
  // Collective; so many steps, measured together. The same answer on all workers.
  double seconds(std::int64_t steps);
  // Warms up, and answers how many steps take `wanted` seconds.
  std::int64_t steps_in(double wanted);

 private:
  const BatchInput& next();

  Communicator& comm_;
  bool check_order_;
  OptimizerConfig clipping_;
  std::optional<Model> model_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<GradientReducer> reducer_;
  LoadedBatch batch_;
  std::optional<Loader> loader_;
  std::int64_t step_ = 0;
};

struct StepSpeed {
  std::vector<double> images_per_s;  // one a window, over all workers
  std::int64_t steps_per_window = 0;
  double first_step_s = 0;             // from the start of the last process to the end of its first step
  std::int64_t peak_memory_bytes = 0;  // of the process that took most
};
// Collective; the same answer on all workers.
StepSpeed measure_steps(Communicator& comm, const Config& config, const InputFacts& input,
                        const TrainingData* training, double window_seconds);

}  // namespace lockstep
