#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/model/steps.h"

// A small network with a batch_norm in it as plain fp64 arithmetic: forward, backward and running statistics
// as PyTorch defines them. It shares nothing with the code under test but the names and layouts of tensors.
namespace lockstep::testing {

using Tensors = std::map<std::string, std::vector<double>>;

// Samples [begin, end) that share statistics.
struct Group {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// The groups of a batch: a shard has ⌊samples/shards⌋ samples, the first samples mod shards one more; every
// `together` shards make a group. One that has no sample is none.
inline std::vector<Group> groups_of(std::int64_t samples, std::int64_t shards, std::int64_t together) {
  std::vector<Group> groups;
  std::int64_t next = 0;
  for (std::int64_t shard = 0; shard < shards && next < samples; ++shard) {
    if (shard % together == 0) groups.push_back({next, next});
    next += samples / shards + (shard < samples % shards ? 1 : 0);
    groups.back().end = next;
  }
  return groups;
}

// 1x1 convolution "conv" with bias → batch_norm "bn" → flatten → linear "fc" → mean cross-entropy.
class ReferenceNetwork {
 public:
  // tensors: the network's parameters and running statistics; without "bn.weight" it has no affine part.
  ReferenceNetwork(const ModelOptions& options, Tensors tensors)
      : tensors_(std::move(tensors)),
        eps_(options.eps),
        momentum_(options.running_statistics[0].momentum),
        pixels_(index(options.input.pixels())),
        inputs_(index(options.input.channels)),
        channels_(at("conv.bias").size()),
        classes_(at("fc.bias").size()) {}

  const Tensors& tensors() const { return tensors_; }

  // The sum of the samples' losses and the gradients of their mean; running statistics move.
  struct Step {
    double loss = 0;
    Tensors gradients;
  };
  Step step(const Data& data, const std::vector<Group>& groups) {
    const std::vector<double> z = convolve(data);
    std::vector<double> xhat(z.size());
    std::vector<double> inverse;  // 1 / deviation, a channel each, group after group
    std::vector<double> batch_mean(channels_);
    std::vector<double> batch_variance(channels_);
    for (const Group& group : groups) {
      const std::size_t first = index(group.begin) * pixels_;
      const std::size_t last = index(group.end) * pixels_;
      const auto count = static_cast<double>(last - first);
      const double weight =
          static_cast<double>(group.end - group.begin) / static_cast<double>(data.samples());
      for (std::size_t c = 0; c < channels_; ++c) {
        double mean = 0;
        double m2 = 0;
        for (std::size_t row = first; row < last; ++row) mean += z[row * channels_ + c] / count;
        for (std::size_t row = first; row < last; ++row) m2 += square(z[row * channels_ + c] - mean);
        inverse.push_back(1 / std::sqrt(m2 / count + eps_));
        for (std::size_t row = first; row < last; ++row) {
          xhat[row * channels_ + c] = (z[row * channels_ + c] - mean) * inverse.back();
        }
        batch_mean[c] += weight * mean;
        batch_variance[c] += weight * m2 / (count - 1);
      }
    }
    move(tensors_.at("bn.running_mean"), batch_mean);
    move(tensors_.at("bn.running_var"), batch_variance);
    ++tensors_.at("bn.num_batches_tracked")[0];

    Step step;
    const std::vector<double> y = scale_and_shift(xhat);
    const std::vector<double> dy = differentiate_loss(data, y, step);
    const std::vector<double> dz = differentiate_norm(groups, xhat, inverse, dy, step.gradients);
    differentiate_convolution(data, dz, step.gradients);
    return step;
  }

  void descend(const Tensors& gradients, double rate) {
    for (const auto& [name, gradient] : gradients) {
      std::vector<double>& values = tensors_.at(name);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] -= rate * gradient[i];
    }
  }

  // The sum of the samples' losses in inference, with running statistics alone.
  double evaluate(const Data& data) const {
    std::vector<double> z = convolve(data);
    for (std::size_t i = 0; i < z.size(); ++i) {
      const std::size_t c = i % channels_;
      z[i] = (z[i] - at("bn.running_mean")[c]) / std::sqrt(at("bn.running_var")[c] + eps_);
    }
    Step step;
    differentiate_loss(data, scale_and_shift(z), step);
    return step.loss;
  }

 private:
  static std::size_t index(std::int64_t value) { return static_cast<std::size_t>(value); }
  static double square(double value) { return value * value; }
  const std::vector<double>& at(const std::string& name) const { return tensors_.at(name); }
  double gamma(std::size_t channel) const {
    return tensors_.contains("bn.weight") ? at("bn.weight")[channel] : 1.0;
  }
  double beta(std::size_t channel) const {
    return tensors_.contains("bn.bias") ? at("bn.bias")[channel] : 0.0;
  }

  void move(std::vector<double>& running, const std::vector<double>& batch) const {
    for (std::size_t c = 0; c < channels_; ++c) {
      running[c] = (1 - momentum_) * running[c] + momentum_ * batch[c];
    }
  }

  // Rows (samples × pixels) of channels.
  std::vector<double> convolve(const Data& data) const {
    std::vector<double> z;
    for (std::size_t row = 0; row < index(data.samples()) * pixels_; ++row) {
      for (std::size_t c = 0; c < channels_; ++c) {
        double sum = at("conv.bias")[c];
        for (std::size_t i = 0; i < inputs_; ++i) {
          sum += at("conv.weight")[c * inputs_ + i] * static_cast<double>(data.images[row * inputs_ + i]);
        }
        z.push_back(sum);
      }
    }
    return z;
  }

  std::vector<double> scale_and_shift(std::vector<double> xhat) const {
    for (std::size_t i = 0; i < xhat.size(); ++i) {
      xhat[i] = gamma(i % channels_) * xhat[i] + beta(i % channels_);
    }
    return xhat;
  }

  // Flatten is channel after channel, as PyTorch's tensors lie.
  std::size_t feature(std::size_t sample, std::size_t number) const {
    return (sample * pixels_ + number % pixels_) * channels_ + number / pixels_;
  }

  // Adds to step's loss, answers the gradient of y and leaves those of "fc".
  std::vector<double> differentiate_loss(const Data& data, const std::vector<double>& y, Step& step) const {
    const std::size_t features = pixels_ * channels_;
    const std::vector<double>& weight = at("fc.weight");
    std::vector<double> dy(y.size());
    std::vector<double>& dweight = step.gradients["fc.weight"];
    std::vector<double>& dbias = step.gradients["fc.bias"];
    dweight.assign(weight.size(), 0.0);
    dbias.assign(classes_, 0.0);
    for (std::size_t sample = 0; sample < data.labels.size(); ++sample) {
      std::vector<double> exponents;
      double total = 0;
      for (std::size_t k = 0; k < classes_; ++k) {
        double logit = at("fc.bias")[k];
        for (std::size_t f = 0; f < features; ++f) logit += weight[k * features + f] * y[feature(sample, f)];
        exponents.push_back(std::exp(logit));
        total += exponents.back();
      }
      const std::size_t label = index(data.labels[sample]);
      step.loss -= std::log(exponents[label] / total);
      for (std::size_t k = 0; k < classes_; ++k) {
        const double dlogit =
            (exponents[k] / total - (k == label ? 1 : 0)) / static_cast<double>(data.samples());
        dbias[k] += dlogit;
        for (std::size_t f = 0; f < features; ++f) {
          dweight[k * features + f] += dlogit * y[feature(sample, f)];
          dy[feature(sample, f)] += dlogit * weight[k * features + f];
        }
      }
    }
    return dy;
  }

  // dz = gamma / deviation · (dy − mean(dy) − x̂ · mean(dy · x̂)), the means over the group.
  std::vector<double> differentiate_norm(const std::vector<Group>& groups, const std::vector<double>& xhat,
                                         const std::vector<double>& inverse, const std::vector<double>& dy,
                                         Tensors& gradients) const {
    std::vector<double> dgamma(channels_);
    std::vector<double> dbeta(channels_);
    std::vector<double> dz(dy.size());
    for (std::size_t group = 0; group < groups.size(); ++group) {
      const std::size_t first = index(groups[group].begin) * pixels_;
      const std::size_t last = index(groups[group].end) * pixels_;
      const auto count = static_cast<double>(last - first);
      for (std::size_t c = 0; c < channels_; ++c) {
        double sum = 0;
        double product = 0;
        for (std::size_t row = first; row < last; ++row) {
          sum += dy[row * channels_ + c];
          product += dy[row * channels_ + c] * xhat[row * channels_ + c];
        }
        dbeta[c] += sum;
        dgamma[c] += product;
        for (std::size_t row = first; row < last; ++row) {
          const std::size_t i = row * channels_ + c;
          dz[i] =
              gamma(c) * inverse[group * channels_ + c] * (dy[i] - sum / count - xhat[i] * product / count);
        }
      }
    }
    if (tensors_.contains("bn.weight")) {
      gradients["bn.weight"] = dgamma;
      gradients["bn.bias"] = dbeta;
    }
    return dz;
  }

  void differentiate_convolution(const Data& data, const std::vector<double>& dz, Tensors& gradients) const {
    std::vector<double>& dweight = gradients["conv.weight"];
    std::vector<double>& dbias = gradients["conv.bias"];
    dweight.assign(channels_ * inputs_, 0.0);
    dbias.assign(channels_, 0.0);
    for (std::size_t i = 0; i < dz.size(); ++i) {
      const std::size_t c = i % channels_;
      dbias[c] += dz[i];
      for (std::size_t input = 0; input < inputs_; ++input) {
        dweight[c * inputs_ + input] +=
            dz[i] * static_cast<double>(data.images[i / channels_ * inputs_ + input]);
      }
    }
  }

  Tensors tensors_;
  double eps_;
  double momentum_;
  std::size_t pixels_, inputs_, channels_, classes_;
};

}  // namespace lockstep::testing
