#pragma once

#include "layers/nn/layer.h"
#include "layers/ops/device.h"

namespace lockstep {

// Maximum or average over square windows; the average leaves the padding out of the count.
class PoolingLayer : public Layer {
 public:
  // stride 0: the window. Throws UsageError where no window fits, or one would lie in the padding alone.
  PoolingLayer(const std::string& name, const SampleShape& input, Pooling::Kind pooling, std::int64_t window,
               std::int64_t stride, std::int64_t padding);
  std::string_view type() const override;
  std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const override;

 private:
  Pooling pooling_;
};

// Mean over the image plane: a vector of the channels.
class GlobalAvgPool : public Layer {
 public:
  GlobalAvgPool(std::string name, const SampleShape& input)
      : Layer(std::move(name), input, {.height = 1, .width = 1, .channels = input.channels}) {}
  std::string_view type() const override { return "global_avg_pool"; }
  std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const override {
    return device_of(shape).make_global_average_pooling(input(), shape);
  }
};

}  // namespace lockstep
