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
#include "trainer/data/loaded_batch.h"
#include "trainer/loop/setup.h"
#include "trainer/optim/optimizer.h"

namespace lockstep {

// Seconds that `work` takes on the slowest worker, from barrier to barrier. Collective; the same everywhere.
double seconds_together(Communicator& comm, const std::function<void()>& work);

// Training steps to be measured: forward, backward, exchange and update of one prepared batch of random
// images, used again and again with learning rate 0, so that every step does the same work.
class BenchedStep {
 public:
  // Collective. Checks hosts, variances and memory as training does, and throws UsageError alike on all
  // workers.
  BenchedStep(Communicator& comm, const Config& config, const InputFacts& input);

  // Whether the model has a batch_norm.
  bool normalizes() { return model_->normalizes(); }
  // Collective; so many steps, measured together. The same answer on all workers.
  double seconds(std::int64_t steps);
  // Warms up, and answers how many steps take `wanted` seconds.
  std::int64_t steps_in(double wanted);

 private:
  Communicator& comm_;
  OptimizerConfig clipping_;
  std::optional<Model> model_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<GradientReducer> reducer_;
  LoadedBatch batch_;
  std::int64_t step_ = 0;
};

struct StepSpeed {
  std::vector<double> images_per_s;  // one a window, over all workers
  std::int64_t steps_per_window = 0;
};
// Collective; the same answer on all workers.
StepSpeed measure_steps(Communicator& comm, const Config& config, const InputFacts& input);

}  // namespace lockstep
