"""DICOM files as pictures: what the standard's display pipeline shows, and no identity.

What other rooms call. The rest of this folder needs pydicom, which is imported when a file is read.
"""

from xaibench.imaging.dicom.header import Header
from xaibench.imaging.dicom.reading import read_dicom, read_header
from xaibench.imaging.dicom.recognising import is_dicom
