#pragma once

#include <string>

#include "trainer/data/images/image.h"

namespace lockstep {

// A picture as a network takes it. Gray becomes three equal channels; of colors gray is ITU-R BT.601's luma.
// Another size is scaled, keeping its proportions, until it just covers `shape`, and the middle is cut out:
// the usual evaluation crop, to the bit as Pillow and torchvision have it. With `kept` below 1 it is scaled
// until it covers shape / kept (rounded down), so that a margin goes: 0.875 is Resize(256), CenterCrop(224).
// Throws DataError, with `name`, where `shape` has neither one channel nor three.
Image fit(Image image, const SampleShape& shape, const std::string& name, double kept = 1);

// As gray (1) or in color (3).
Image with_channels(Image image, std::int64_t channels);

}  // namespace lockstep
