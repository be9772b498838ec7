#pragma once

#include <string>

#include "trainer/data/images/image.h"

namespace lockstep {

// A picture as a network takes it. Gray becomes three equal channels; of colors gray is ITU-R BT.601's luma.
// Another size is scaled, keeping its proportions, until it just covers `shape`, and the middle is cut out:
// the usual evaluation crop, to the bit as Pillow and torchvision have it. A picture that has `shape` stays
// as it is. Throws DataError, with `name`, where `shape` has neither one channel nor three.
Image fit(Image image, const SampleShape& shape, const std::string& name);

}  // namespace lockstep
