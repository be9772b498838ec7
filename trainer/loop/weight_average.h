#pragma once

#include <functional>
#include <string>
#include <vector>

#include "layers/nn/parameter.h"
#include "layers/tensor/buffer.h"

namespace lockstep {

// A moving average of a model over its steps, beside the model: of its parameters, and with the same weight
// of its running statistics, since inference with averaged weights needs those of about the same time. With
// decay d, in fp32 for each element, as torch.optim.swa_utils.AveragedModel(use_buffers=True):
//   average ← average + (1 − d) · (value − average)
// It begins as the values after the first step. Counts of batches are the model's. `precise` statistics are
// no average: they are made from the averaged weights, until statistics freeze. The same on all workers, as
// the model is.
class WeightAverage {
 public:
  // model: all of its tensors, always the same ones in the same order.
  WeightAverage(const std::vector<ModelTensor>& model, double decay);

  // After a step. first: there is no average yet. frozen: running statistics are constants by now, all of
  // them.
  void update(const std::vector<ModelTensor>& model, bool first, bool frozen);
  // For checkpoints: "ema_weights.<name of the model's tensor>". Valid as long as this is.
  std::vector<ModelTensor> state() const { return tensors_; }

  // While one is alive, model and average have changed places. `model` answers the model's tensors and is
  // asked at both ends.
  class InPlace {
   public:
    InPlace(const WeightAverage& average, std::function<std::vector<ModelTensor>()> model);
    ~InPlace();
    InPlace(const InPlace&) = delete;
    InPlace& operator=(const InPlace&) = delete;

   private:
    const WeightAverage& average_;
    std::function<std::vector<ModelTensor>()> model_;
  };

 private:
  float share_;  // of the newest step
  std::vector<Buffer> memory_;
  std::vector<ModelTensor> tensors_;
};

}  // namespace lockstep
