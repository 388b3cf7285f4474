"""Files of science with axes, coordinates or a series in them: NetCDF, HDF5, Zarr, NIfTI, DICOM, columns of tables."""
