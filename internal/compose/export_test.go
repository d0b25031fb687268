package compose

// PlacesOf is for tests of files that Compose itself does not load.
var PlacesOf = placesOf
