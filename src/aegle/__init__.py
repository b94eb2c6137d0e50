"""From a patient's images to a decision and back: find, suggest, plan, follow, allocate.

Research software, not a medical device.
"""

__version__ = "0.1.0"

RESEARCH_USE = "Research software, not a medical device. A qualified person decides."
